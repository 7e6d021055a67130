//! When a notification is written again: how often, how soon, and never beyond what the broker allows.

use std::time::Duration;

/// No schedule holds a notification longer than this in all: RabbitMQ closes a channel whose delivery stays unacked for
/// 30 minutes (`consumer_timeout`).
pub const HOLD_MAX: Duration = Duration::from_secs(25 * 60);

/// When to write again, by what happened. Lists are walked in order, one entry an attempt; a list that is used up ends
/// in the verdict `failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule {
    /// After 500, 503 and unknown 5xx. Apple advises 15 minutes; the first entry is one early try on another connection.
    pub service: Vec<Duration>,
    /// After *not sent* and *in doubt*. The last entry repeats for *not sent*, which costs APNs nothing.
    pub transport: Vec<Duration>,
    /// After 429 for one device token.
    pub throttle: Vec<Duration>,
    /// After a refusal of the credential: the notification waits for the pool, this long at least.
    pub credential: Duration,
    /// No notification is held longer than this in all; at most [`HOLD_MAX`].
    pub hold_max: Duration,
    /// Answers other than *not sent* after which a notification ends in `failed`, whatever the lists say.
    pub attempts_max: u16,
}

impl Default for RetrySchedule {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            service: vec![ms(500), Duration::from_secs(15 * 60)],
            transport: vec![ms(0), ms(200), ms(1_000), ms(5_000), ms(30_000)],
            throttle: vec![ms(1_000), ms(5_000), ms(30_000), ms(120_000), ms(300_000)],
            credential: ms(1_000),
            hold_max: HOLD_MAX,
            attempts_max: 20,
        }
    }
}

/// What has happened to a notification so far in this sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Replies that were a fault of the service.
    pub service: u16,
    /// Writes that ended *not sent*.
    pub not_sent: u16,
    /// Writes that ended *in doubt*.
    pub in_doubt: u16,
    /// Replies that throttled its device token.
    pub throttled: u16,
    /// Replies that refused the credential.
    pub credential: u16,
    /// Replies that spoke about the connection it was written on.
    pub connection: u16,
}

/// How long a suspect refusal is held while its pool is stopped: longer than the longest pause between probes, so that a probe
/// is one that was not refused yet.
pub const SUSPECT_HOLD: Duration = Duration::from_secs(90);

impl Attempts {
    /// Answers other than *not sent*, and those that spoke about the credential, not the notification.
    pub const fn counted(&self) -> u16 {
        self.service.saturating_add(self.in_doubt).saturating_add(self.throttled)
    }

    /// How often it was handed to the transport.
    pub const fn total(&self) -> u16 {
        self.service
            .saturating_add(self.not_sent)
            .saturating_add(self.in_doubt)
            .saturating_add(self.throttled)
            .saturating_add(self.credential)
            .saturating_add(self.connection)
    }
}
