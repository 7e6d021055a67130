//! The policy of a cluster: every number that the plan goes by. Stored for the whole cluster, so that all monitors agree.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The numbers of the plan. What is absent from a stored policy has its default. Durations travel in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// How long a member whose connection to the broker closed may take to come back in place.
    #[serde(with = "millis", rename = "restart_grace_ms")]
    pub restart_grace: Duration,
    /// How long after the broker itself came back closed connections prove nothing about their members: it closed them.
    #[serde(with = "millis", rename = "broker_debounce_ms")]
    pub broker_debounce: Duration,
    /// How long a member must have been present before balance counts on it and new queues are given out. (The queues of a lost
    /// member do not wait for that, where nobody else can take them.)
    #[serde(with = "millis", rename = "join_debounce_ms")]
    pub join_debounce: Duration,
    /// The half-gone guard: more lost than this share of the fleet, in percent, is held for an operator.
    pub half_gone_percent: u32,
    /// How far back losses count as *at once* for the half-gone guard.
    #[serde(with = "millis", rename = "half_gone_window_ms")]
    pub half_gone_window: Duration,
    /// Balance acts when the busiest member carries more than this share of the mean, in percent …
    pub balance_act_percent: u32,
    /// … for this long …
    #[serde(with = "millis", rename = "balance_act_after_ms")]
    pub balance_act_after: Duration,
    /// … and goes on until it carries less than this.
    pub balance_stop_percent: u32,
    /// How many queues may be on their way at once for balance.
    pub balance_moves_max: u32,
    /// A queue counts at least this much, so that idle queues are spread too, notifications a second.
    pub balance_queue_floor: u32,
    /// How often a member may be lost within [`Policy::flap_window`] before it counts as flapping.
    pub flap_losses_max: u32,
    /// How long a loss is remembered against a member.
    #[serde(with = "millis", rename = "flap_window_ms")]
    pub flap_window: Duration,
    /// How long a flapping member is kept out at first; each further loss doubles it …
    #[serde(with = "millis", rename = "flap_backoff_first_ms")]
    pub flap_backoff_first: Duration,
    /// … up to this.
    #[serde(with = "millis", rename = "flap_backoff_max_ms")]
    pub flap_backoff_max: Duration,
    /// How long APNs must have failed a pool at a member, and not at most others, before its queues go to one of those.
    #[serde(with = "millis", rename = "apns_cut_after_ms")]
    pub apns_cut_after: Duration,
    /// How long an owner may take to leave a queue before the plan says that it is slow.
    #[serde(with = "millis", rename = "release_slow_after_ms")]
    pub release_slow_after: Duration,
    /// How long it may take before the queue is seized from it and its connection closed, as from one that is frozen. Longer than any
    /// write may go unanswered. What balance or an operator wants to move waits.
    #[serde(with = "millis", rename = "release_seize_after_ms")]
    pub release_seize_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart_grace: Duration::from_millis(500),
            broker_debounce: Duration::from_secs(5),
            join_debounce: Duration::from_secs(5),
            half_gone_percent: 50,
            half_gone_window: Duration::from_secs(60),
            balance_act_percent: 125,
            balance_act_after: Duration::from_secs(60),
            balance_stop_percent: 110,
            balance_moves_max: 8,
            balance_queue_floor: 10,
            flap_losses_max: 2,
            flap_window: Duration::from_secs(600),
            flap_backoff_first: Duration::from_secs(30),
            flap_backoff_max: Duration::from_secs(1800),
            apns_cut_after: Duration::from_secs(10),
            release_slow_after: Duration::from_secs(10),
            release_seize_after: Duration::from_secs(60),
        }
    }
}

impl Policy {
    /// How long something that flaps is kept out, from its first time (1) on.
    pub(crate) fn flap_backoff(&self, level: u32) -> Duration {
        self.backoff(self.flap_backoff_first, level)
    }

    /// The same, with another first time.
    pub(crate) fn backoff(&self, first: Duration, level: u32) -> Duration {
        let doubled = 1u32.checked_shl(level.saturating_sub(1)).unwrap_or(u32::MAX);
        first.saturating_mul(doubled).min(self.flap_backoff_max)
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_default_and_units_are_named() {
        let policy: Policy = serde_json::from_str(r#"{"restart_grace_ms":250}"#).unwrap();
        assert_eq!(policy, Policy { restart_grace: Duration::from_millis(250), ..Policy::default() });
        let text = serde_json::to_string(&policy).unwrap();
        assert!(text.contains(r#""balance_act_after_ms":60000"#), "{text}");
        assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), policy);
    }
}
