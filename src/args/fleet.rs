//! The arguments of `skein queue …` and `skein sender …`.

use std::time::Duration;

use clap::{Args, Subcommand};
use skein_core::QueueName;
use skein_core::fleet::MemberId;

const QUEUE_HELP: &str = "Examples:\n  \
    skein queue list --watch\n  \
    skein queue show enterprise.q3\n  \
    skein queue pause enterprise.q3 --reason 'INC-7: a producer floods it'\n  \
    skein queue move enterprise.q3 sender-2\n  \
    skein queue rebalance --dry-run\n\n\
    Reads and wishes go over ZooKeeper (coordinator.servers); depth, age and rates come from a monitor.\n\
    A wish is carried out by the leading monitor: the command waits for it, says why it is held, and ends with 1 if it is \
    refused or not done within --wait, with 3 if ZooKeeper or every monitor is away.\n\
    Who paused a queue and why stands below `skein queue list`; what operators decided before, in `skein config live history`.";

const SENDER_HELP: &str = "Examples:\n  \
    skein sender list --watch\n  \
    skein sender drain sender-2 --reason 'a new kernel' --wait 2m\n  \
    skein sender undrain sender-2 --reason 'it has the new kernel'\n  \
    skein sender quarantine sender-2 --reason 'clock runs backwards'\n  \
    skein sender quarantine sender-2 --lift --reason 'clock mended'\n\n\
    Who drained or quarantined a sender and why stands below `skein sender list`; what operators decided before, in \
    `skein config live history`. Exit codes are those of `skein queue`.";

/// `skein queue …`
#[derive(Debug, Subcommand)]
#[command(after_help = QUEUE_HELP)]
pub enum Queue {
    /// List the queues: owner, epoch, depth, oldest, rates
    ///
    /// Example: skein queue list --pool enterprise --watch
    List {
        /// Only this pool's
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
        /// How to follow it.
        #[command(flatten)]
        follow: Follow,
        /// Where figures come from.
        #[command(flatten)]
        monitor: MonitorAt,
    },
    /// Show everything that is known of one queue, and why it is where it is
    ///
    /// Example: skein queue show enterprise.q3
    Show {
        /// The queue, POOL.qN
        #[arg(value_parser = queue)]
        queue: QueueName,
        /// Where figures come from.
        #[command(flatten)]
        monitor: MonitorAt,
    },
    /// Stop taking from a queue; it stays with its owner, and what waits in it waits
    ///
    /// Example: skein queue pause enterprise.q3 --reason 'INC-7: a producer floods it'
    Pause(OneQueue),
    /// Go on taking from a paused queue
    ///
    /// Example: skein queue resume enterprise.q3 --reason 'INC-7 is closed'
    Resume(OneQueue),
    /// Move a queue to a sender, where balance leaves it until `queue rebalance`
    ///
    /// Example: skein queue move enterprise.q3 sender-2
    Move {
        /// The queue, POOL.qN
        #[arg(value_parser = queue)]
        queue: QueueName,
        /// The sender
        #[arg(value_parser = member)]
        to: MemberId,
        /// Whose decision it is.
        #[command(flatten)]
        remark: Remark,
        /// How long to wait.
        #[command(flatten)]
        wait: Wait,
    },
    /// Balance now, without waiting for hysteresis; queues that were moved by hand may move again
    ///
    /// Examples: skein queue rebalance --dry-run; skein queue rebalance --release-hold
    Rebalance {
        /// Only show what would be done, and why
        #[arg(long, conflicts_with = "release_hold")]
        dry_run: bool,
        /// More than half of the fleet is gone and its queues are held: give them to who is left
        #[arg(long)]
        release_hold: bool,
        /// Whose decision it is.
        #[command(flatten)]
        remark: Remark,
        /// How long to wait.
        #[command(flatten)]
        wait: Wait,
    },
}

/// `skein sender …`
#[derive(Debug, Subcommand)]
#[command(after_help = SENDER_HELP)]
pub enum Sender {
    /// List the senders: state, queues, load, and how APNs, broker and ledger answer them
    ///
    /// Example: skein sender list --watch
    List {
        /// How to follow it.
        #[command(flatten)]
        follow: Follow,
        /// Where figures come from.
        #[command(flatten)]
        monitor: MonitorAt,
    },
    /// Hand a sender's queues over and give it no more, until undrained
    ///
    /// Example: skein sender drain sender-2 --reason 'a new kernel'
    Drain(OneSender),
    /// Let a drained sender have queues again
    ///
    /// Example: skein sender undrain sender-2 --reason 'it has the new kernel'
    Undrain(OneSender),
    /// Keep a sender out, across its restarts, until it is lifted
    ///
    /// Examples: skein sender quarantine sender-2 --reason 'bad disk'; skein sender quarantine sender-2 --lift --reason 'a new disk'
    Quarantine {
        /// The sender
        #[arg(value_parser = member)]
        member: MemberId,
        /// Lift it
        #[arg(long)]
        lift: bool,
        /// Whose decision it is.
        #[command(flatten)]
        reason: Reason,
        /// How long to wait.
        #[command(flatten)]
        wait: Wait,
    },
}

/// A wish for one queue.
#[derive(Debug, Args)]
pub struct OneQueue {
    /// The queue, POOL.qN
    #[arg(value_parser = queue)]
    pub queue: QueueName,
    /// Whose decision it is.
    #[command(flatten)]
    pub reason: Reason,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// A wish for one sender.
#[derive(Debug, Args)]
pub struct OneSender {
    /// The sender
    #[arg(value_parser = member)]
    pub member: MemberId,
    /// Whose decision it is.
    #[command(flatten)]
    pub reason: Reason,
    /// How long to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// Whose decision it is, and why: of what holds something until it is taken back.
#[derive(Debug, Clone, Args)]
pub struct Reason {
    /// Why, for those who look later
    #[arg(long, alias = "why", value_name = "TEXT", value_parser = super::live::reason)]
    pub reason: String,
    /// Who decides it; without it, user and host
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
}

/// The same of what holds nothing for long.
#[derive(Debug, Clone, Args)]
pub struct Remark {
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT", value_parser = super::live::reason)]
    pub reason: Option<String>,
    /// Who decides it; without it, user and host
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
}

/// A table that follows what happens.
#[derive(Debug, Clone, Args)]
pub struct Follow {
    /// Redraw it in place until Ctrl-C; with --json one line for each reading
    #[arg(long, short)]
    pub watch: bool,
    /// How often, with --watch
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = pause, requires = "watch")]
    pub every: Duration,
}

/// Where a monitor is.
#[derive(Debug, Clone, Args)]
pub struct MonitorAt {
    /// A monitor's address, for depth, age and rates; without it, monitor.listen of the configuration
    #[arg(long, value_name = "URL", env = "SKEIN_MONITOR", value_parser = address)]
    pub monitor: Option<String>,
}

/// How long a wish is waited for.
#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// How long to wait until it is done; 0 only writes the wish down
    #[arg(long = "wait", value_name = "TIME", default_value = "30s", value_parser = wait)]
    pub limit: Duration,
    /// Where to ask why it is held.
    #[command(flatten)]
    pub monitor: MonitorAt,
}

fn queue(text: &str) -> Result<QueueName, String> {
    QueueName::parse(text).ok_or_else(|| "a queue is named POOL.qN, such as enterprise.q3".to_owned())
}

/// Reads a member's id.
pub(super) fn member(text: &str) -> Result<MemberId, String> {
    MemberId::parse(text).map_err(|error| error.to_string())
}

fn address(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let names_one = authority.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '@', '?']));
    names_one.then(|| text.to_owned()).ok_or_else(|| "an address such as http://127.0.0.1:9190".to_owned())
}

pub(super) fn wait(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    skein_config::parse_duration(text).ok_or_else(|| "a time such as 30s or 2m, or 0".to_owned())
}

fn pause(text: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(200);
    let given = skein_config::parse_duration(text).filter(|given| *given >= least);
    given.ok_or_else(|| "a time of at least 200ms, such as 1s".to_owned())
}
