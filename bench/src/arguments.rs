//! What `skein bench` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `skein bench …`
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Speed, CPU, latency and order of the whole way, beside a baseline
    ///
    /// Example: skein bench pipeline --engine cluster --json
    Pipeline(Pipeline),
    /// The sender's memory while a million notifications wait and APNs stands still
    ///
    /// Example: skein bench waiting --notifications 1000000 --batch 500 --json
    Waiting(Waiting),
    /// The monitor's plan at full size: what it costs, how even it is, what one loss moves
    ///
    /// Example: skein bench plan --json
    Plan(Plan),
    /// The APNs client alone: CPU, speed, latency and memory, beside other clients on the same server
    #[command(after_help = APNS_EXAMPLES)]
    Apns(Apns),
}

const APNS_EXAMPLES: &str = "\
Examples:
  skein bench apns --json
  skein bench apns --vs h2load,h2                               beside nghttp2's client and a bare `h2` one
  skein bench apns --rate 20000 --delay-ms 50 --in-flight 2000 --connections 0
  skein bench apns --delay-ms 50 --in-flight 1000               how full one connection's streams are kept
  skein bench apns --rtt-ms 150 --payload-bytes 1500 --connections 0 --in-flight 20000
  skein bench apns --connect 127.0.0.1:8443 --ca ca.pem         another server in place of the simulator";

/// What carries and stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// One process with one SQLite file.
    Embedded,
    /// RabbitMQ and PostgreSQL.
    Cluster,
}

impl Engine {
    /// Its name in rows and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Cluster => "cluster",
        }
    }
}

/// Where the services of the cluster are. `cargo run -p skein-tests --bin services` starts some and prints these.
#[derive(Debug, Clone, Default, Args)]
pub struct Services {
    /// RabbitMQ, with login; the run uses a virtual host of its own
    #[arg(long, value_name = "URL", env = "RABBITMQ_URL", hide_env_values = true)]
    pub rabbitmq_url: Option<String>,
    /// RabbitMQ's management API, with login
    #[arg(long, value_name = "URL", env = "RABBITMQ_MANAGEMENT", hide_env_values = true)]
    pub rabbitmq_management: Option<String>,
    /// PostgreSQL, with login; the run uses a database of its own
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

/// `skein bench pipeline`
#[derive(Debug, Clone, Args)]
pub struct Pipeline {
    /// Which engine
    #[arg(long, value_enum)]
    pub engine: Engine,
    /// One payload for this many devices in each message; without it each notification is a message of its own
    #[arg(long, value_name = "ITEMS", value_parser = clap::value_parser!(u32).range(2..=500))]
    pub batch: Option<u32>,
    /// Submit so many a second, for latency; without it as fast as it goes
    #[arg(long, value_name = "PER_SECOND", conflicts_with = "batch", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub paced: Option<u32>,
    /// Another server in place of the simulator; what only a simulator's log can tell is null then
    #[arg(long, value_name = "HOST:PORT", requires = "ca")]
    pub apns: Option<String>,
    /// That server's root certificate, PEM
    #[arg(long, value_name = "FILE", requires = "apns")]
    pub ca: Option<PathBuf>,
    /// Notifications a round
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=4_000_000))]
    pub notifications: u64,
    /// Rounds of each kind, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Queues of the pool
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub queues: u16,
    /// What tokens and payloads are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The services.
    #[command(flatten)]
    pub services: Services,
}

/// `skein bench waiting`
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// One payload for this many devices in each message
    #[arg(long, value_name = "ITEMS", value_parser = clap::value_parser!(u32).range(2..=500))]
    pub batch: Option<u32>,
    /// Notifications that wait
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=4_000_000))]
    pub notifications: u64,
    /// Queues of the pool
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub queues: u16,
    /// What tokens and payloads are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The services.
    #[command(flatten)]
    pub services: Services,
}

/// `skein bench plan`
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Fleets to plan for, each three times: all new, at rest, one sender gone
    #[arg(long, default_value_t = 51, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// What the loads are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `skein bench apns`
#[derive(Debug, Clone, Args)]
pub struct Apns {
    /// Another server in place of the simulator; what only a simulator's log can tell is null then
    #[arg(long, value_name = "HOST:PORT", requires = "ca")]
    pub connect: Option<String>,
    /// That server's root certificate, PEM
    #[arg(long, value_name = "FILE", requires = "connect")]
    pub ca: Option<PathBuf>,
    /// Each notification with its token, id and payload
    #[command(flatten)]
    pub load: ApnsLoad,
    /// How the simulator behaves
    #[command(flatten)]
    pub service: ApnsService,
    /// Rounds of each kind, in turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Other clients, measured in turn with ours against the same kind of server
    #[arg(long, value_name = "CLIENT", value_enum, value_delimiter = ',')]
    pub vs: Vec<Rival>,
    /// The bare `h2` client, if it is built already; otherwise it is built by cargo from bench/peers/rust
    #[arg(long, value_name = "FILE")]
    pub h2_bin: Option<PathBuf>,
}

/// What a client under measurement does.
#[derive(Debug, Clone, Args)]
pub struct ApnsLoad {
    /// Bytes of each payload
    #[arg(long, default_value_t = 233, value_parser = clap::value_parser!(u32).range(160..=4096))]
    pub payload_bytes: u32,
    /// Notifications written and not answered at once, at most
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub in_flight: u32,
    /// Connections; 0 lets the client open what it needs, and measures once that is done
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub connections: u32,
    /// Write so many a second, evenly; 0 is as fast as it goes
    #[arg(long, value_name = "PER_SECOND", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub rate: u32,
    /// Notifications a round
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1_000..=4_000_000))]
    pub notifications: u64,
    /// What tokens and payloads are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// How the simulator behaves.
#[derive(Debug, Clone, Args)]
pub struct ApnsService {
    /// Each answer is held for so long
    #[arg(long, default_value_t = 0, conflicts_with = "connect", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub delay_ms: u64,
    /// Round trip: both directions delayed by half of it
    #[arg(long, default_value_t = 0, conflicts_with = "connect", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub rtt_ms: u64,
    /// Flow-control window of connections and streams, in bytes; Apple's was 65535 when last seen
    #[arg(long, value_name = "BYTES", default_value_t = 65_535, conflicts_with = "connect", value_parser = clap::value_parser!(u32).range(16_384..=1_073_741_824))]
    pub window: u32,
}

/// A client to be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rival {
    /// nghttp2's load generator.
    H2load,
    /// The crate `h2` alone, over rustls and tokio, with mimalloc.
    H2,
}

impl Rival {
    /// Its name in rows and files.
    pub fn label(self) -> &'static str {
        match self {
            Self::H2load => "h2load",
            Self::H2 => "h2",
        }
    }
}

/// One process of a run; started by [`Bench`], not by people.
#[derive(Debug, Subcommand)]
pub enum Part {
    /// Submits to RabbitMQ with the producer library.
    Producer(Submitting),
    /// Submits to a gateway over HTTP.
    HttpProducer(Submitting),
    /// Publishes with lapin alone.
    BaselinePublish(Baseline),
    /// Consumes with lapin alone.
    BaselineConsume(Baseline),
    /// Pushes with the APNs client.
    ApnsClient(ApnsClient),
    /// Answers as APNs.
    ApnsServer(ApnsServer),
}

/// What the part with the APNs client takes.
#[derive(Debug, Clone, Args)]
pub struct ApnsClient {
    /// `host:port` of the server.
    #[arg(long)]
    pub target: String,
    /// The server's root certificate.
    #[arg(long)]
    pub ca: PathBuf,
    /// Where the latency of each notification goes: microseconds, little-endian `u32`s.
    #[arg(long)]
    pub latencies: PathBuf,
    /// What it does.
    #[command(flatten)]
    pub load: ApnsLoad,
}

/// What the part with the simulator takes.
#[derive(Debug, Clone, Args)]
pub struct ApnsServer {
    /// Where its root certificate goes.
    #[arg(long)]
    pub ca: PathBuf,
    /// Where its log goes.
    #[arg(long)]
    pub log: PathBuf,
    /// Each answer is held for so long.
    #[arg(long)]
    pub delay_ms: u64,
    /// Round trip.
    #[arg(long)]
    pub rtt_ms: u64,
    /// Flow-control window.
    #[arg(long)]
    pub window: u32,
}

/// What a submitting part takes.
#[derive(Debug, Clone, Args)]
pub struct Submitting {
    /// The broker with its virtual host, or `host:port` of the gateway. With a password: from the environment.
    #[arg(long, env = "SKEIN_BENCH_TARGET", hide_env_values = true)]
    pub target: String,
    /// The gateway's API key.
    #[arg(long, env = "SKEIN_BENCH_KEY", hide_env_values = true, default_value = "")]
    pub key: String,
    /// How many.
    #[arg(long)]
    pub notifications: u64,
    /// Items of a batch; 1 is none.
    #[arg(long, default_value_t = 1)]
    pub batch: u32,
    /// A second; 0 is as fast as it goes.
    #[arg(long, default_value_t = 0)]
    pub paced: u32,
    /// What tokens and payloads are drawn from.
    #[arg(long)]
    pub seed: u64,
    /// Where the list of what was confirmed goes.
    #[arg(long)]
    pub list: PathBuf,
}

/// What a part of the baseline takes.
#[derive(Debug, Clone, Args)]
pub struct Baseline {
    /// The broker with its virtual host.
    #[arg(long, env = "SKEIN_BENCH_TARGET", hide_env_values = true)]
    pub target: String,
    /// How many messages.
    #[arg(long)]
    pub notifications: u64,
    /// Queues.
    #[arg(long)]
    pub queues: u16,
    /// What tokens and payloads are drawn from.
    #[arg(long)]
    pub seed: u64,
}
