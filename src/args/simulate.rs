//! The arguments of `skein simulate-apns`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `skein simulate-apns`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein simulate-apns --ca-out apns-sim-ca.pem --preset realistic\n  \
    skein simulate-apns --ca-out apns-sim-ca.pem --preset everything --rate 0.2 --every 500 --seed 7\n  \
    skein simulate-apns --control 127.0.0.1:2198 --log pushes.log --faults bad-day.toml\n  \
    skein simulate-apns --ca-out apns-sim-ca.pem --rtt-ms 150 --window 65536\n\n\
    The control address takes faults while running: curl -X POST '127.0.0.1:2198/faults?preset=everything&rate=0.01'")]
pub struct SimulateApns {
    /// Where it listens, TLS and HTTP/2; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:2197")]
    pub listen: SocketAddr,
    /// Where its HTTP control endpoint listens; it has no authentication
    #[arg(long)]
    pub control: Option<SocketAddr>,
    /// The root certificate to trust is written here, PEM
    #[arg(long, value_name = "FILE")]
    pub ca_out: Option<PathBuf>,
    /// The root's private key is kept here, so that clients trust the next start too; made if it is missing
    #[arg(long, value_name = "FILE")]
    pub ca_key: Option<PathBuf>,
    /// Where channel management listens, on a port of its own; without it, with everything else
    #[arg(long, value_name = "ADDRESS")]
    pub management: Option<SocketAddr>,
    /// A TOML file of rules: how requests, tokens, certificates and broadcasts are judged
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// A signing key to know: key id, team id and .p8 file; without any, every key is good
    #[arg(long = "key", value_name = "KEY:TEAM:FILE")]
    pub keys: Vec<String>,
    /// A TOML file of faults, or the name of a preset
    #[arg(long, value_name = "FILE")]
    pub faults: Option<String>,
    /// A set of faults: none, realistic, everything
    #[arg(long, value_name = "NAME", conflicts_with = "faults")]
    pub preset: Option<String>,
    /// The share of requests that meet a fault, with --preset everything
    #[arg(long, value_name = "SHARE", requires = "preset")]
    pub rate: Option<f64>,
    /// The requests after which a connection meets a fault, with --preset everything; 0 is never
    #[arg(long, value_name = "N", requires = "preset")]
    pub every: Option<u64>,
    /// The seed of all faults, in place of the file's or the preset's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The log of every request goes to this file, in place of memory
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Threads that serve connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Which of Apple's services it plays
    #[arg(long, value_enum, default_value_t = Environment::Sandbox)]
    pub environment: Environment,
    /// Further names and addresses in its certificate
    #[arg(long = "name", value_name = "NAME")]
    pub names: Vec<String>,
    /// Bundle ids that exist; without any, all do
    #[arg(long = "bundle-id", value_name = "ID")]
    pub bundle_ids: Vec<String>,
    /// Take any provider token whose parts decode
    #[arg(long)]
    pub lenient_tokens: bool,
    /// Streams that one connection may have open at once
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub streams_max: u32,
    /// Round trip of the wire it plays, in milliseconds
    #[arg(long, default_value_t = 0, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=skein_apns_sim::RTT_MS_MAX))]
    pub rtt_ms: u64,
    /// Seconds that its clock is ahead of this machine's; behind if negative
    #[arg(long, default_value_t = 0, value_name = "SECONDS", allow_negative_numbers = true)]
    pub clock_offset: i64,
    /// Flow-control window of connections and streams, in bytes
    #[arg(long, default_value_t = 65_535, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(16_384..=1 << 30))]
    pub window: u32,
}

/// Apple's two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// api.push.apple.com
    Production,
    /// api.sandbox.push.apple.com
    Sandbox,
}
