//! What the simulator knows about device tokens: every one is valid unless a set or a seeded share says otherwise.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::fingerprint::{BuildMixed, draw};
use crate::reason::Reason;

/// The state of one device token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Takes pushes.
    Valid,
    /// 410 `Unregistered`, with the timestamp that [`TokenFaults::gone_timestamp`] says.
    Gone,
    /// 410 `ExpiredToken`.
    Expired,
    /// 400 `BadDeviceToken`: a token of the other environment.
    WrongEnvironment,
    /// 400 `DeviceTokenNotForTopic`.
    WrongTopic,
    /// 429 `TooManyRequests` for this token, while others flow.
    Throttled,
}

impl TokenState {
    /// How APNs refuses it; `None` if it does not.
    pub fn refusal(self) -> Option<Reason> {
        match self {
            Self::Valid => None,
            Self::Gone => Some(Reason::Unregistered),
            Self::Expired => Some(Reason::ExpiredToken),
            Self::WrongEnvironment => Some(Reason::BadDeviceToken),
            Self::WrongTopic => Some(Reason::DeviceTokenNotForTopic),
            Self::Throttled => Some(Reason::TooManyRequests),
        }
    }
}

/// Which `timestamp` a 410 carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoneTimestamp {
    /// So many milliseconds before the answer: 0 lies after every registration, a large number before it.
    AgoMs(u64),
    /// This moment, in milliseconds since the epoch.
    AtMs(u64),
    /// No timestamp at all.
    Absent,
}

impl GoneTimestamp {
    pub(crate) fn at(self, now_ms: u64) -> Option<u64> {
        match self {
            Self::AgoMs(ago) => Some(now_ms.saturating_sub(ago)),
            Self::AtMs(at) => Some(at),
            Self::Absent => None,
        }
    }
}

/// Shares of all device tokens that are not valid, decided by seed and token: the same token always meets the same
/// fate. Each share is between 0 and 1; together at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenFaults {
    /// Share of tokens that are [`TokenState::Gone`].
    pub gone: f64,
    /// The timestamp of their 410. Default: the moment of the answer.
    pub gone_timestamp: GoneTimestamp,
    /// Share of tokens that are [`TokenState::Expired`].
    pub expired: f64,
    /// Share of tokens that are [`TokenState::WrongEnvironment`].
    pub wrong_environment: f64,
    /// Share of tokens that are [`TokenState::WrongTopic`].
    pub wrong_topic: f64,
    /// Share of tokens that are [`TokenState::Throttled`].
    pub throttled: f64,
}

impl Default for TokenFaults {
    fn default() -> Self {
        Self {
            gone: 0.0,
            gone_timestamp: GoneTimestamp::AgoMs(0),
            expired: 0.0,
            wrong_environment: 0.0,
            wrong_topic: 0.0,
            throttled: 0.0,
        }
    }
}

impl TokenFaults {
    pub(crate) fn shares(&self) -> [(&'static str, f64, TokenState); 5] {
        [
            ("tokens.gone", self.gone, TokenState::Gone),
            ("tokens.expired", self.expired, TokenState::Expired),
            ("tokens.wrong_environment", self.wrong_environment, TokenState::WrongEnvironment),
            ("tokens.wrong_topic", self.wrong_topic, TokenState::WrongTopic),
            ("tokens.throttled", self.throttled, TokenState::Throttled),
        ]
    }

    /// The fate of a token under these shares.
    pub fn state(&self, seed: u64, token: u64) -> TokenState {
        let shares = self.shares();
        if shares.iter().all(|(_, share, _)| *share == 0.0) {
            return TokenState::Valid;
        }
        let mut drawn = draw(seed, SALT, token, 0);
        for (_, share, state) in shares {
            if drawn < share {
                return state;
            }
            drawn -= share;
        }
        TokenState::Valid
    }
}

const SALT: u64 = 0x70_6b_65_6e;

/// The most tokens that can be given a state by name.
pub const NAMED_TOKENS_MAX: usize = 1 << 20;

/// States given to single tokens; they win over the shares.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedTokens(HashMap<u64, TokenState, BuildMixed>);

impl NamedTokens {
    /// `false` if there is no room for another token.
    pub(crate) fn set(&mut self, token: u64, state: TokenState) -> bool {
        if self.0.len() >= NAMED_TOKENS_MAX && !self.0.contains_key(&token) {
            return false;
        }
        self.0.insert(token, state);
        true
    }

    pub(crate) fn get(&self, token: u64) -> Option<TokenState> {
        if self.0.is_empty() { None } else { self.0.get(&token).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_tokens_meets_its_fate_for_good() {
        let faults = TokenFaults { gone: 0.01, wrong_topic: 0.02, ..TokenFaults::default() };
        let states: Vec<_> = (0..100_000).map(|token| faults.state(3, token)).collect();
        let count = |wanted| states.iter().filter(|state| **state == wanted).count();
        assert!((850..1150).contains(&count(TokenState::Gone)));
        assert!((1800..2200).contains(&count(TokenState::WrongTopic)));
        assert_eq!(count(TokenState::Expired), 0);
        assert!((0..100_000).all(|token| faults.state(3, token) == states[token as usize]));
    }

    #[test]
    fn timestamps_lie_where_they_were_asked_for() {
        assert_eq!(GoneTimestamp::AgoMs(5).at(100), Some(95));
        assert_eq!(GoneTimestamp::AtMs(7).at(100), Some(7));
        assert_eq!(GoneTimestamp::Absent.at(100), None);
    }
}
