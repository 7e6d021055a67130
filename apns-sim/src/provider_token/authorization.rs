//! What one connection has seen of provider tokens, and what it therefore allows.

use super::{Claims, Environment, TokenPolicy};
use crate::reason::Reason;
use crate::request::Topic;

/// The most keys that one connection is bound to: one and its related key.
const BOUND_MAX: usize = 2;

/// The provider tokens that one connection has seen.
#[derive(Default)]
pub(crate) struct Authorization {
    /// The header value last looked at, and what it came to.
    last: Vec<u8>,
    outcome: Option<Result<Claims, Reason>>,
    /// The topics that the last good token is good for; none: all.
    topics: Vec<u64>,
    /// Refuses everything from now on.
    wedged: Option<Reason>,
    /// The newest claims of each key this connection is bound to, and since when.
    bound: Vec<(Claims, u64)>,
}

impl Authorization {
    /// Judges one `authorization` value.
    pub(crate) fn check(
        &mut self,
        value: &[u8],
        policy: &TokenPolicy,
        environment: Environment,
        now_s: u64,
    ) -> Result<(), Reason> {
        if let Some(reason) = self.wedged {
            return Err(reason);
        }
        if !matches!(self.outcome, Some(Ok(_))) || self.last != value {
            self.last.clear();
            self.last.extend_from_slice(value);
            self.outcome = Some(self.judge(value, policy, environment, now_s));
        }
        let judged = match &self.outcome {
            Some(Ok(claims)) if !policy.is_fresh(claims.issued_s, now_s) => Err(Reason::ExpiredProviderToken),
            Some(Err(reason)) => Err(*reason),
            _ => Ok(()),
        };
        if judged == Err(Reason::ExpiredProviderToken) && policy.wedges {
            self.wedge(Reason::ExpiredProviderToken);
        }
        judged
    }

    /// Whether the last good token is good for this topic.
    pub(crate) fn check_topic(&self, topic: Option<Topic>, policy: &TokenPolicy) -> Result<(), Reason> {
        match topic {
            Some(topic) if !self.topics.is_empty() => {
                let listed = |hash| self.topics.contains(&hash);
                if listed(topic.hash) || listed(topic.bundle_hash) {
                    Ok(())
                } else {
                    Err(policy.foreign_topic)
                }
            }
            _ => Ok(()),
        }
    }

    /// The connection is good for nothing any more.
    pub(crate) fn wedge(&mut self, reason: Reason) {
        self.wedged = Some(reason);
    }

    fn judge(
        &mut self,
        value: &[u8],
        policy: &TokenPolicy,
        environment: Environment,
        now_s: u64,
    ) -> Result<Claims, Reason> {
        let token = value.strip_prefix(b"bearer ").filter(|token| !token.is_empty());
        let claims = policy.verify(token.ok_or(Reason::MissingProviderToken)?, environment)?;
        if !policy.is_fresh(claims.issued_s, now_s) {
            return Err(Reason::ExpiredProviderToken);
        }
        if self.bound.first().is_some_and(|(bound, _)| bound.team_id != claims.team_id) {
            return Err(Reason::InvalidProviderToken);
        }
        let key = |claims: &Claims| policy.key(&claims.key_id, &claims.team_id);
        match self.bound.iter_mut().find(|(bound, _)| bound.key_id == claims.key_id) {
            Some((bound, since_s)) => {
                if now_s.saturating_sub(*since_s) < policy.update_min_s && *bound != claims {
                    return Err(Reason::TooManyProviderTokenUpdates);
                }
                (*bound, *since_s) = (claims.clone(), now_s);
            }
            None => {
                let related = |(bound, _): &(Claims, u64)| {
                    key(bound).zip(key(&claims)).is_some_and(|(one, other)| one.is_related_to(other))
                };
                if self.bound.len() >= BOUND_MAX || !self.bound.iter().all(related) {
                    return Err(Reason::UnrelatedKeyIdInToken);
                }
                self.bound.push((claims.clone(), now_s));
            }
        }
        self.topics = key(&claims).map(|key| key.topics.clone()).unwrap_or_default();
        Ok(claims)
    }
}
