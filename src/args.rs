//! The arguments: every command with what it takes.

mod channel;
mod cluster;
mod credential;
mod dev;
mod doctor;
mod fleet;
mod live;
mod simulate;

pub use channel::{App, Channel, Publish, Storage};
pub use cluster::{Cluster, Who};
pub use credential::{Check, Credential, List, Rotate};
pub use dev::{Dev, DevCluster};
pub use doctor::{Doctor, RoleName};
pub use fleet::{Follow, MonitorAt, OneQueue, OneSender, Queue, Reason, Remark, Sender, Wait};
pub use live::{Changing, Live};
pub use simulate::{Environment, SimulateApns};

use std::path::PathBuf;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

const EXITS: &str = "Exit codes: 0 done; 1 failed, or the answer is no; 2 wrong arguments or configuration; \
                     3 a needed service is away, or something was left out.";

/// Carries an IM backend's push notifications from RabbitMQ to APNs, in order, and explains every one.
#[derive(Debug, Parser)]
#[command(name = "skein", version, styles = STYLES, after_help = EXITS, max_term_width = 110)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file; each further one goes over the one before
    #[arg(
        long = "config",
        short = 'c',
        value_name = "FILE",
        global = true,
        env = "SKEIN_CONFIG",
        value_delimiter = ','
    )]
    pub files: Vec<PathBuf>,
    /// One setting, over files and environment, such as sender.lease=800ms
    // An id of its own: with a command's argument of the same one, what stands before that command would be passed over.
    #[arg(id = "set", long = "set", value_name = "KEY=VALUE", global = true)]
    pub settings: Vec<String>,
    /// Print JSON lines instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check or show the configuration
    #[command(subcommand)]
    Config(Config),
    /// Run one role of the cluster
    #[command(subcommand)]
    Run(Run),
    /// See it work: the embedded engine against the simulator, with the faults of a bad day, and the history checked
    Demo(Demo),
    /// Run the embedded engine with its front door: one process, one file, no other service
    ///
    /// Example: skein standalone -c skein.toml
    Standalone,
    /// Submit one notification, or many as NDJSON
    Submit(Box<Submit>),
    /// Show what the ledger knows of a notification
    Trace(Trace),
    /// Check, list and rotate the pools' credentials
    #[command(subcommand)]
    Credential(Box<Credential>),
    /// Manage broadcast channels for Live Activities, and publish to them
    #[command(subcommand)]
    Channel(Box<Channel>),
    /// List the queues of a cluster, move, pause and balance them
    #[command(subcommand)]
    Queue(Box<Queue>),
    /// List the senders of a cluster, drain them, keep them out
    #[command(subcommand)]
    Sender(Box<Sender>),
    /// Make what a cluster needs on its services, with one narrow user for each role, and prove that they are narrow
    #[command(subcommand)]
    Cluster(Box<Cluster>),
    /// Look a deployment over, end to end: what is wrong with it, and what to do
    Doctor(Box<Doctor>),
    /// A whole cluster on this machine, to try things on
    #[command(subcommand)]
    Dev(Dev),
    /// Run an APNs that behaves like Apple's, with faults on demand
    SimulateApns(Box<SimulateApns>),
    /// Measure speed, CPU, memory and order, beside a baseline
    #[command(subcommand)]
    Bench(Box<skein_bench::Bench>),
    /// One process of a measurement.
    #[command(subcommand, hide = true)]
    BenchPart(skein_bench::Part),
    /// Print a completion script for a shell
    ///
    /// Example: skein completions zsh > ~/.zfunc/_skein
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `skein demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  skein demo\n  skein demo --notifications 200000 --json\n\n\
    It needs no service and leaves nothing behind. It ends with 1 if a notification is lost, overtaken, or without a verdict.")]
pub struct Demo {
    /// How many notifications
    #[arg(long, short, default_value_t = 100_000, value_name = "N")]
    pub notifications: u64,
    /// For how many devices
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    pub tokens: u64,
    /// The seed of devices and faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Without faults
    #[arg(long)]
    pub calm: bool,
    /// One setting of the embedded engine, such as sender.shards=1
    #[arg(long = "with", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

/// `skein config …`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Name every fault of the configuration, with its place and remedy
    ///
    /// Example: skein config check -c skein.toml
    Check {
        /// Looks only at the files that this role reads, as on its host; without it at all
        #[arg(long, value_name = "ROLE")]
        role: Option<RoleName>,
    },
    /// Show the settings in force and where each comes from; secrets are masked
    ///
    /// Example: skein config show -c skein.toml --changed
    Show {
        /// Only what differs from the defaults
        #[arg(long)]
        changed: bool,
        /// The defaults with their descriptions, as default.toml
        #[arg(long, conflicts_with = "changed")]
        defaults: bool,
    },
    /// Show and change the settings that a whole fleet takes up while it runs
    #[command(subcommand)]
    Live(Live),
    /// Make an API key for the gateway, and the line for its file of keys
    ///
    /// The key is shown once, or goes to a file that only its owner can read; the file of keys gets only its hash.
    ///
    /// Example: skein config new-key im-backend --append gateway-keys --out im-backend.key
    NewKey {
        /// The caller's name
        name: String,
        /// Append the line to this file instead of printing it
        #[arg(long, value_name = "FILE")]
        append: Option<PathBuf>,
        /// Write the key to this new file, mode 0600, instead of printing it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// A restart with the successor first.
#[derive(Debug, Args)]
pub struct Succession {
    /// Takes the place of this sender, which runs now under another sender.member
    #[arg(long, value_name = "MEMBER", value_parser = fleet::member)]
    pub succeeds: Option<skein_core::fleet::MemberId>,
    /// Once another has taken its place, waits for SIGTERM instead of ending
    ///
    /// For who starts again whatever ends, as Kubernetes does: it would join the fleet anew.
    #[arg(long)]
    pub stay_when_succeeded: bool,
}

/// `skein run …`
#[derive(Debug, Subcommand)]
pub enum Run {
    /// The sender of a cluster: from its queues to APNs and into the ledger, until SIGTERM
    ///
    /// Restarted without a gap, the successor first: `skein run sender --succeeds sender-0 --set sender.member=sender-0b
    /// --set http.listen=…` starts beside the running one, is given its queues when it is ready, and the one that was
    /// there ends with 0 when it owns nothing any more.
    ///
    /// Example: skein run sender -c skein.toml
    Sender {
        /// Whom it takes the place of, and what it does when another takes its own.
        #[command(flatten)]
        succession: Succession,
    },
    /// The health monitor of a cluster: says which sender owns which queue; run two or more, one leads
    ///
    /// It serves the fleet's API at monitor.listen (/v1/fleet, /v1/fleet/history). The numbers of its plan stand in
    /// [monitor.policy]; SIGHUP reads them again.
    ///
    /// Example: skein run monitor -c skein.toml
    Monitor,
    /// The HTTP front door of a cluster, until SIGTERM; SIGHUP reads its API keys again
    ///
    /// Example: skein run gateway -c skein.toml
    Gateway,
}

impl Run {
    /// Which files the role reads.
    pub const fn files(&self) -> skein_config::Files {
        match self {
            Self::Sender { .. } => RoleName::Sender.files(),
            Self::Monitor => RoleName::Monitor.files(),
            Self::Gateway => RoleName::Gateway.files(),
        }
    }
}

/// Where a running gateway is.
#[derive(Debug, Clone, Args)]
pub struct Door {
    /// A running gateway's address; without it, gateway.listen of the configuration
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File with the API key; without it, the environment's SKEIN_API_KEY
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// `skein submit`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein submit --pool enterprise --token 8f1c… --topic com.example.im --title Ann --body Hello\n  \
    skein submit --pool enterprise --file notifications.ndjson\n  \
    generate | skein submit --pool enterprise --file -\n\n\
    With engine = \"cluster\" it publishes to RabbitMQ itself; with \"embedded\", or with --url, through a running gateway.\n\
    A line of NDJSON is one notification, or one content with \"items\". It ends with 1 if any was not accepted.")]
pub struct Submit {
    /// The pool to send by
    #[arg(long, short)]
    pub pool: String,
    /// NDJSON to submit; - is standard input
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["token", "topic", "title", "payload"])]
    pub file: Option<PathBuf>,
    /// The device token, hexadecimal
    #[arg(long, required_unless_present = "file")]
    pub token: Option<String>,
    /// The app's bundle id
    #[arg(long, required_unless_present = "file")]
    pub topic: Option<String>,
    /// The alert's title
    #[arg(long)]
    pub title: Option<String>,
    /// The alert's text
    #[arg(long)]
    pub body: Option<String>,
    /// The whole payload as JSON, in place of --title and --body; @FILE reads it from a file
    #[arg(long, value_name = "JSON", conflicts_with_all = ["title", "body"])]
    pub payload: Option<String>,
    /// alert, background, voip, …
    #[arg(long, value_name = "TYPE")]
    pub push_type: Option<String>,
    /// 10, 5 or 1
    #[arg(long)]
    pub priority: Option<u8>,
    /// An RFC 3339 time, or 0 for one attempt
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// A newer one with the same id takes its place on the device
    #[arg(long, value_name = "ID")]
    pub collapse_id: Option<String>,
    /// Set the badge to this number
    #[arg(long, value_name = "N", conflicts_with = "badge_add")]
    pub badge_set: Option<u32>,
    /// Add this number to the badge
    #[arg(long, value_name = "N")]
    pub badge_add: Option<u32>,
    /// The user, as the backend names them
    #[arg(long)]
    pub user: Option<String>,
    /// The app, as the backend names it
    #[arg(long)]
    pub app: Option<String>,
    /// The backend's own id
    #[arg(long = "ref", value_name = "ID")]
    pub reference: Option<String>,
    /// A UUIDv7 of your own; the same id again is recognised
    #[arg(long)]
    pub id: Option<String>,
    /// Where the gateway is.
    #[command(flatten)]
    pub door: Door,
}

/// `skein trace`
#[derive(Debug, Args)]
#[command(after_help = "Example: skein trace 0192f5c0-7e1c-7b4e-9c55-2f0c1d7a9e10\n\n\
    It ends with 1 if the ledger knows nothing of the id.")]
pub struct Trace {
    /// The notification's id
    pub id: String,
    /// Where the gateway is.
    #[command(flatten)]
    pub door: Door,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn json_and_config_may_stand_anywhere() {
        let parsed = Arguments::try_parse_from(["skein", "config", "check", "--json", "-c", "a", "-c", "b"]);
        let common = parsed.expect("arguments").common;
        assert!(common.json);
        assert_eq!(common.files.len(), 2);
    }

    #[test]
    fn one_or_a_file() {
        let parse = |rest: &[&str]| {
            Arguments::try_parse_from([&["skein", "submit", "--pool", "im"], rest].concat()).is_ok()
        };
        assert!(parse(&["--token", "ab", "--topic", "t", "--body", "hi"]));
        assert!(parse(&["--file", "-"]));
        assert!(!parse(&["--file", "-", "--token", "ab"]));
        assert!(!parse(&["--token", "ab"]));
        assert!(!parse(&["--token", "ab", "--topic", "t", "--badge-set", "1", "--badge-add", "1"]));
    }

    #[test]
    fn only_a_fleet_is_told_why_it_rotates() {
        let parse = |rest: &[&str]| {
            Arguments::try_parse_from([&["skein", "credential", "rotate", "im"], rest].concat()).is_ok()
        };
        assert!(parse(&[]) && parse(&["--url", "http://127.0.0.1:9180"]));
        assert!(
            parse(&["--to", "key_id=XYZ1234567", "--reason", "yearly"])
                && parse(&["--back", "--reason", "no"])
        );
        assert!(!parse(&["--to", "key_id=XYZ1234567"]) && !parse(&["--back"]));
        assert!(!parse(&["--to", "key_id=XYZ1234567", "--reason", " "]));
    }

    #[test]
    fn every_command_is_documented() {
        let page = include_str!("../docs/cli.md");
        for command in Arguments::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let name = command.get_name();
            assert!(page.contains(&format!("`skein {name}")), "docs/cli.md does not name {name}");
            let grouped = matches!(
                name,
                "config" | "run" | "credential" | "cluster" | "channel" | "queue" | "sender" | "dev"
            );
            for sub in command.get_subcommands().filter(|_| grouped) {
                let whole = format!("`skein {name} {}", sub.get_name());
                assert!(page.contains(&whole), "docs/cli.md does not name {whole}");
            }
        }
    }
}
