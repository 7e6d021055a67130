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
}

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
