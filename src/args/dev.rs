//! The arguments of `skein dev …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `skein dev …`
#[derive(Debug, Subcommand)]
pub enum Dev {
    /// Start a whole cluster on this machine: RabbitMQ, ZooKeeper, PostgreSQL, a simulated APNs, senders, monitors, a gateway
    Cluster(DevCluster),
}

/// `skein dev cluster`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein dev cluster\n  \
    skein dev cluster --senders 3 --load 500\n\n\
    Everything listens on loopback, on ports of its own, and ends with Ctrl-C. In another terminal, in the same folder:\n  \
    export SKEIN_CONFIG=skein-dev/skein.toml\n  \
    skein queue list --watch\n\n\
    It needs the programs of RabbitMQ, ZooKeeper and PostgreSQL (Debian: apt-get install\n\
    --no-install-recommends rabbitmq-server zookeeper default-jre-headless postgresql).")]
pub struct DevCluster {
    /// How many senders
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub senders: u16,
    /// How many monitors; one leads
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=5))]
    pub monitors: u16,
    /// How many queues the pool has
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub queues: u16,
    /// Submit so many notifications a second
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=5000))]
    pub load: u32,
    /// For how many devices
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub devices: u32,
    /// Give the simulated APNs the faults of an ordinary day: refusals, lost answers, connections that end
    #[arg(long)]
    pub faults: bool,
    /// Where configuration and logs go
    #[arg(long, default_value = "skein-dev", value_name = "FOLDER")]
    pub folder: PathBuf,
}
