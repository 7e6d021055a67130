//! Faults of single requests, and the draws that decide them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Faults, Oddity};
use crate::fingerprint::draw;
use crate::reason::Reason;

/// Shares (0 to 1, together at most 1) of the requests that pass all checks; each try of an id is decided anew.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestFaults {
    /// 410 `Unregistered`.
    pub gone: f64,
    /// 429 `TooManyRequests`.
    pub too_many_requests: f64,
    /// 500 `InternalServerError`.
    pub internal_server_error: f64,
    /// 503 `ServiceUnavailable`.
    pub service_unavailable: f64,
    /// 503 `Shutdown`.
    pub shutdown: f64,
    /// 400 `BadDeviceToken`.
    pub bad_device_token: f64,
    /// Read and delivered, never answered.
    pub silence: f64,
    /// `RST_STREAM` with `REFUSED_STREAM`: not processed.
    pub refused_stream: f64,
    /// An answer that Apple's documents do not have, one of [`Oddity`]: not processed.
    pub odd_answer: f64,
    /// Any other refusal by its reason's name, such as `{ IdleTimeout = 0.01 }`.
    pub refuse: BTreeMap<Reason, f64>,
    /// So many times at most one id meets a fault of this table; 0 is no limit.
    pub faults_per_id_max: u32,
    /// Every answer is held back this long, in milliseconds.
    pub delay_ms: u64,
    /// And up to this much longer, evenly spread, in milliseconds.
    pub delay_jitter_ms: u64,
    /// Share of the answers that are slow, whatever they say.
    pub slow: f64,
    /// How much longer a slow answer takes, in milliseconds.
    pub slow_ms: u64,
}

/// What a draw decided for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Refuse(Reason),
    RefuseStream,
    Silence,
    Odd,
}

impl Faults {
    /// Whether a request's fate depends on how often its id was seen.
    pub(crate) fn counts_attempts(&self) -> bool {
        self.request.all_shares().any(|(_, share, _)| share > 0.0)
    }

    pub(crate) fn fate(&self, id: u128, attempt: u32) -> Fate {
        let request = &self.request;
        if request.faults_per_id_max > 0 && attempt >= request.faults_per_id_max {
            return Fate::Pass;
        }
        let subject = (id >> 64) as u64 ^ (id as u64).rotate_left(32);
        let mut drawn = draw(self.seed, SALT_REQUEST, subject, u64::from(attempt));
        for (_, share, fate) in request.all_shares() {
            if drawn < share {
                return fate;
            }
            drawn -= share;
        }
        Fate::Pass
    }

    /// Which odd answer this try of an id gets.
    pub(crate) fn oddity(&self, id: u128, attempt: u32) -> Oddity {
        let drawn = draw(self.seed, SALT_ODD, id as u64, u64::from(attempt));
        Oddity::ALL[(drawn * Oddity::ALL.len() as f64) as usize]
    }

    /// How long the answer to this try of an id is held back, in nanoseconds.
    pub(crate) fn delay_ns(&self, id: u128, attempt: u32) -> u64 {
        let RequestFaults { delay_ms, delay_jitter_ms, slow, slow_ms, .. } = self.request;
        let mut delay_ns = delay_ms * 1_000_000;
        if delay_jitter_ms > 0 {
            let drawn = draw(self.seed, SALT_DELAY, id as u64, u64::from(attempt));
            delay_ns += (drawn * (delay_jitter_ms * 1_000_000) as f64) as u64;
        }
        if slow > 0.0 && draw(self.seed, SALT_SLOW, id as u64, u64::from(attempt)) < slow {
            delay_ns += slow_ms * 1_000_000;
        }
        delay_ns
    }
}

const SALT_REQUEST: u64 = 0x7265_7175;
const SALT_ODD: u64 = 0x6f64_6421;
const SALT_DELAY: u64 = 0x6465_6c61;
const SALT_SLOW: u64 = 0x736c_6f77;
const SHARES: usize = 9;

impl RequestFaults {
    pub(super) fn shares(&self) -> [(&'static str, f64, Fate); SHARES] {
        let refuse = Fate::Refuse;
        [
            ("request.gone", self.gone, refuse(Reason::Unregistered)),
            ("request.too_many_requests", self.too_many_requests, refuse(Reason::TooManyRequests)),
            (
                "request.internal_server_error",
                self.internal_server_error,
                refuse(Reason::InternalServerError),
            ),
            ("request.service_unavailable", self.service_unavailable, refuse(Reason::ServiceUnavailable)),
            ("request.shutdown", self.shutdown, refuse(Reason::Shutdown)),
            ("request.bad_device_token", self.bad_device_token, refuse(Reason::BadDeviceToken)),
            ("request.silence", self.silence, Fate::Silence),
            ("request.refused_stream", self.refused_stream, Fate::RefuseStream),
            ("request.odd_answer", self.odd_answer, Fate::Odd),
        ]
    }

    /// Those of `refuse` too.
    pub(super) fn all_shares(&self) -> impl Iterator<Item = (&'static str, f64, Fate)> + '_ {
        let refusals =
            self.refuse.iter().map(|(reason, share)| ("request.refuse", *share, Fate::Refuse(*reason)));
        self.shares().into_iter().chain(refusals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_try_of_an_id_is_decided_anew() {
        let mut faults = Faults::default();
        faults.request.internal_server_error = 0.5;
        let tries: Vec<_> = (0..64).map(|attempt| faults.fate(77, attempt)).collect();
        assert!(tries.contains(&Fate::Pass));
        assert!(tries.contains(&Fate::Refuse(Reason::InternalServerError)));
        assert_eq!(tries, (0..64).map(|attempt| faults.fate(77, attempt)).collect::<Vec<_>>());
        faults.request.faults_per_id_max = 1;
        assert!((1..64).all(|attempt| faults.fate(77, attempt) == Fate::Pass));
    }

    #[test]
    fn delays_stay_within_their_bounds() {
        let mut faults = Faults::default();
        assert_eq!(faults.delay_ns(1, 0), 0);
        faults.request.delay_ms = 10;
        faults.request.delay_jitter_ms = 5;
        assert!((0..100).all(|id| (10_000_000..15_000_000).contains(&faults.delay_ns(id, 0))));
    }

    #[test]
    fn any_reason_can_be_asked_for() {
        let faults = Faults::from_toml("[request.refuse]\nIdleTimeout = 1.0").expect("sound");
        assert_eq!(faults.fate(1, 0), Fate::Refuse(Reason::IdleTimeout));
        Faults::from_toml("[request]\ngone = 0.5\nrefuse = { Forbidden = 0.6 }")
            .expect_err("too much together");
        Faults::from_toml("[request.refuse]\nNoReason = 0.6").expect_err("no such reason");
    }
}
