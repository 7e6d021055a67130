//! What the monitor's HTTP API says, as types: `GET /v1/fleet` is a [`Fleet`], `GET /v1/fleet/history` a [`History`].
//!
//! Every monitor answers both, the one that leads and those that wait. Times are RFC 3339, spans are milliseconds, rates are
//! notifications a second. What is not known is `null`, never 0. New fields may come; none changes its meaning.

use serde::{Deserialize, Serialize};
use skein_core::fleet::{
    Cause, CredentialReport, Health, Incarnation, MemberId, Policy, Quarantine, QueueAssignment, Wish,
};
use skein_core::{PoolName, QueueName, Timestamp};

/// The fleet as one monitor sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// When it was read.
    pub at: Timestamp,
    /// Who says so.
    pub monitor: Monitor,
    /// ZooKeeper.
    pub coordinator: Service,
    /// RabbitMQ.
    pub broker: Broker,
    /// Every queue, by name.
    pub queues: Vec<Queue>,
    /// Every sender that has a session, owns a queue, or went without a word in the last [`GONE_SECONDS`]; by id.
    pub senders: Vec<Sender>,
    /// Every credential of every sender, by pool and sender.
    pub credentials: Vec<Credential>,
    /// What should happen now, and why.
    pub plan: Plan,
    /// What was changed, by this monitor or before its eyes, the latest first; at most [`DONE_MAX`].
    pub done: Vec<Done>,
    /// What a person must look at, the worst first.
    pub alarms: Vec<Alarm>,
    /// What operators have asked for and is not done yet, or holds something until they take it back.
    pub wishes: Vec<Wish>,
    /// Who operators keep out.
    pub quarantines: Vec<Quarantine>,
    /// The numbers that are gone by.
    pub policy: Policy,
}

/// The most of what was done that is remembered.
pub const DONE_MAX: usize = 200;

/// How long a sender that went without handing its queues over is remembered, in seconds.
pub const GONE_SECONDS: u64 = 900;

/// The monitor that answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// Whether it leads: of several monitors one acts.
    pub leads: bool,
    /// Every monitor that is there, by its place in the row: the first leads.
    pub row: Vec<String>,
    /// Full passes so far.
    pub passes: u64,
    /// How long the last one took.
    pub pass_ms: u64,
}

/// How long depths and rates are shown after the last answer of the management API, in seconds.
pub const FIGURES_KEPT_SECONDS: u64 = 30;

/// A service that the monitor asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Why it does not answer, if it does not. What is shown is then the last that was known.
    pub trouble: Option<String>,
}

/// The broker, by the three ways the monitor looks at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// `up`, `back` (it was away; closed connections prove nothing for a moment) or `away`.
    pub state: String,
    /// Why its events are not heard, if they are not: dead senders are then noticed by their sessions alone.
    pub events_trouble: Option<String>,
    /// Why its management API does not answer, if it does not: then no depth, no rate, no kick.
    pub management_trouble: Option<String>,
    /// How long ago the broker was asked for depths and rates. It counts every five seconds itself. Figures older than
    /// [`FIGURES_KEPT_SECONDS`] are not shown.
    pub figures_age_ms: Option<u64>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name, `<pool>.q<n>`.
    pub queue: QueueName,
    /// How it stands.
    pub state: QueueState,
    /// Who owns it.
    pub owner: Option<MemberId>,
    /// Which life of the owner.
    pub incarnation: Option<Incarnation>,
    /// The number that fences the owner.
    pub epoch: u64,
    /// Why the owner is who it is, or why it is asked to leave.
    pub cause: Cause,
    /// For whom the owner is asked to leave.
    pub successor: Option<MemberId>,
    /// An operator holds it.
    pub paused: bool,
    /// How many deliveries its owner may hold unsettled.
    pub prefetch: u16,
    /// What waits in the broker.
    pub ready: Option<u64>,
    /// What its owner holds unsettled.
    pub unacked: Option<u64>,
    /// `ready` + `unacked`.
    pub depth: Option<u64>,
    /// How long the oldest notification of it had been there when the broker counted last: an estimate. At least so long,
    /// where it was there already when this monitor, or the broker, began to count.
    pub oldest_ms: Option<u64>,
    /// What comes in, a second.
    pub in_per_second: Option<f64>,
    /// What is settled, a second.
    pub out_per_second: Option<f64>,
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    /// Its owner sends from it.
    Owned,
    /// Its owner waits until its predecessor must have stopped.
    Settling,
    /// Its owner is asked to leave it for its successor.
    Leaving,
    /// Its owner is gone.
    OwnerGone,
    /// Nobody owns it.
    Unowned,
    /// An operator holds it.
    Paused,
}

impl QueueState {
    /// How a queue stands by what is stored of it; `owner_lives`: the life that owns it has a session.
    pub fn of(stored: &QueueAssignment, owner_lives: bool) -> Self {
        match &stored.owner {
            _ if stored.paused => Self::Paused,
            None => Self::Unowned,
            Some(_) if !owner_lives => Self::OwnerGone,
            Some(_) if stored.successor.is_some() => Self::Leaving,
            Some(_) if !stored.predecessor_gone => Self::Settling,
            Some(_) => Self::Owned,
        }
    }

    /// The word in metric, table and page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Owned => "owned",
            Self::Settling => "settling",
            Self::Leaving => "leaving",
            Self::OwnerGone => "owner_gone",
            Self::Unowned => "unowned",
            Self::Paused => "paused",
        }
    }
}

/// A sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sender {
    /// Its stable name.
    pub member: MemberId,
    /// `present`, `joining`, `suspect`, `broker_dead`, `session_gone`, `leaving` or `flapping`.
    pub state: String,
    /// Which life; `null` once its session is gone. What only it can say is `null` as soon as the broker knows it to be dead.
    pub incarnation: Option<Incarnation>,
    /// Its host.
    pub host: Option<String>,
    /// Its zone.
    pub zone: Option<String>,
    /// Its program's version.
    pub version: Option<String>,
    /// When this life began, by its own clock.
    pub since: Option<Timestamp>,
    /// Since when it is gone without a word: it was killed, froze or was cut off, and has not come back.
    #[serde(default)]
    pub gone_at: Option<Timestamp>,
    /// The queues it owns.
    pub queues: Vec<QueueName>,
    /// Written to APNs, a second.
    pub per_second: Option<u32>,
    /// Written and not yet answered.
    pub in_flight: Option<u32>,
    /// Taken and waiting: in a lane, or held for a retry.
    pub held: Option<u32>,
    /// From submission to the first write, the mean of the last second.
    pub delay_ms: Option<u32>,
    /// What its queues weigh in the plan.
    pub weight: u64,
    /// How APNs answers it: the worst of its pools.
    pub apns: Option<Health>,
    /// How the broker answers it.
    pub broker: Option<Health>,
    /// How the ledger answers it.
    pub ledger: Option<Health>,
    /// Its right to write: `open`, `shut` (every queue of it waits), `partly` or `none` (it owns nothing).
    pub lease: Option<Lease>,
    /// It wants to leave.
    pub draining: bool,
    /// An operator keeps it out.
    pub quarantined: bool,
    /// Whose place it takes.
    pub succeeds: Option<MemberId>,
    /// Its connections to the broker that are open, as far as events tell.
    pub connections: Option<usize>,
}

/// A sender's right to write, over all its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    /// For every queue.
    Open,
    /// For some.
    Partly,
    /// For none.
    Shut,
    /// It owns nothing.
    None,
}

impl Lease {
    /// The word in metric and table.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Partly => "partly",
            Self::Shut => "shut",
            Self::None => "none",
        }
    }
}

/// A sender's credential for a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Whose pool.
    pub pool: PoolName,
    /// Whose credential.
    pub member: MemberId,
    /// How APNs answers it.
    pub apns: Health,
    /// What it says of the credential: environment, topics, days left, breaker. No secret.
    #[serde(flatten)]
    pub report: CredentialReport,
}

/// What should happen now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Changes that are planned and not yet made.
    pub moves: Vec<Move>,
    /// What is held back.
    pub held: Vec<Held>,
    /// When time alone will change it.
    pub wakes_in_ms: Option<u64>,
}

/// A planned change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Of which queue.
    pub queue: QueueName,
    /// `assign`, `ask`, `withdraw`, `pause` or `resume`.
    pub change: String,
    /// Who owns it now.
    pub from: Option<MemberId>,
    /// Who it is for.
    pub to: Option<MemberId>,
    /// Why, in one word.
    pub cause: Option<Cause>,
    /// Why, in a sentence.
    pub why: String,
}

/// What is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// In one word: `half_gone`, `broker`, `restart`, `flapping`, `nobody`, `joining`, `successor` or `slow`.
    pub what: String,
    /// In a sentence, with what the operator can do.
    pub why: String,
    /// A person must look.
    pub alarms: bool,
}

/// A change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// The epoch it made, or was made in.
    pub epoch: u64,
    /// What.
    #[serde(flatten)]
    pub change: Move,
}

/// What a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alarm {
    /// How bad.
    pub level: Level,
    /// In one word.
    pub what: String,
    /// In a sentence, with what the operator can do.
    pub why: String,
}

/// How bad an alarm is; the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Somebody must act: notifications wait, or may.
    Critical,
    /// It goes on; look at it.
    Warning,
}

/// The last [`HISTORY_SECONDS`], in memory: it begins anew with the monitor.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The time of the first point of every line.
    pub from: Timestamp,
    /// From one point to the next.
    pub step_ms: u64,
    /// The whole fleet first, then each pool, then each sender.
    pub lines: Vec<Line>,
}

/// How far back the history goes, in seconds and points.
pub const HISTORY_SECONDS: usize = 900;

/// One thing's line: every list has the same number of points, `null` where nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// `fleet`, `pool` or `sender`.
    pub kind: String,
    /// Its name; empty for the fleet.
    pub name: String,
    /// Notifications written to APNs a second; of a pool, those settled.
    pub rate: Vec<Option<f32>>,
    /// From submission to the first write, in milliseconds; of a pool, how long its oldest notification waits.
    pub delay_ms: Vec<Option<u32>>,
    /// What waits in the queues; of a sender, what it holds.
    pub backlog: Vec<Option<u64>>,
}
