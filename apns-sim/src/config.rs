//! The simulator's settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::broadcast::BroadcastPolicy;
use crate::certificates::CertificatePolicy;
use crate::faults::Faults;
use crate::log::LogMode;
use crate::provider_token::{Environment, TokenPolicy};
use crate::request::Strictness;

/// The longest round trip that can be played, in milliseconds.
pub const RTT_MS_MAX: u64 = 10_000;
/// The smallest window that can be played, in bytes: one frame of the size that every peer must take.
pub const WINDOW_BYTES_MIN: u32 = 16_384;
/// The largest window that can be played, in bytes: half of what RFC 9113 §6.9.1 allows, so that an update never overflows.
pub const WINDOW_BYTES_MAX: u32 = 1 << 30;

/// How a simulator is to run. The default: a free port on loopback, sandbox, every token valid, no faults, its log
/// in memory.
pub struct SimulatorConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where its HTTP control endpoint listens; `None` runs without one.
    pub control: Option<SocketAddr>,
    /// Where channel management listens, on a port of its own as with Apple; `None` answers it on `listen` too.
    pub management: Option<SocketAddr>,
    /// Threads that serve connections, each with a runtime of its own; at least 1.
    pub threads: usize,
    /// Which service it plays.
    pub environment: Environment,
    /// Host names and addresses in its certificate, beside the listening address.
    pub names: Vec<String>,
    /// A certificate chain and key to use in place of generated ones.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// The root certificate is written here, as PEM, for clients.
    pub ca_out: Option<PathBuf>,
    /// The root's private key is kept here, as PEM, for its owner alone: made if it is missing. Without, each start has a root of its own,
    /// and clients have to read it again.
    pub ca_key: Option<PathBuf>,
    /// How provider tokens are judged.
    pub tokens: TokenPolicy,
    /// How client certificates are judged.
    pub certificates: CertificatePolicy,
    /// What is possible with broadcasts.
    pub broadcast: BroadcastPolicy,
    /// Bundle ids that exist; others are `TopicDisallowed`. Empty: all do.
    pub bundle_ids: Vec<String>,
    /// The switches that Apple leaves open.
    pub strictness: Strictness,
    /// Streams a connection may have open at once, once it has shown a valid token. Apple's was 1,000 when last seen.
    pub streams_max: u32,
    /// Flow-control window of connections and streams, in bytes, [`WINDOW_BYTES_MIN`] to
    /// [`WINDOW_BYTES_MAX`]. Apple's was 65,535 when last seen.
    pub window_bytes: u32,
    /// Round trip of the wire that is played, in milliseconds, half of it in each direction: on everything after the
    /// TLS handshake, window updates and PINGs included. At most [`RTT_MS_MAX`].
    pub rtt_ms: u64,
    /// How far its wall clock is ahead of this machine's, in seconds; behind if negative. Ages of provider tokens, validity of
    /// client certificates and timestamps go by it; the log does not.
    pub clock_offset_s: i64,
    /// Whether to remember what each device shows.
    pub devices: bool,
    /// Where the log is kept.
    pub log: LogMode,
    /// The faults in force from the start.
    pub faults: Faults,
    /// Connections at once; further ones are closed as they come.
    pub connections_max: u64,
}

/// How requests and credentials are judged, as a TOML file may set it. What it leaves out stays at its default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// See [`SimulatorConfig::strictness`].
    pub strictness: Strictness,
    /// See [`SimulatorConfig::tokens`]; keys are added apart.
    pub tokens: TokenPolicy,
    /// See [`SimulatorConfig::certificates`].
    pub certificates: CertificatePolicy,
    /// See [`SimulatorConfig::broadcast`].
    pub broadcast: BroadcastPolicy,
}

impl Rules {
    /// Reads a TOML file's text.
    pub fn from_toml(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        Self {
            listen: loopback,
            control: None,
            management: None,
            threads: 1,
            environment: Environment::default(),
            names: vec!["localhost".to_owned()],
            identity: None,
            ca_out: None,
            ca_key: None,
            tokens: TokenPolicy::default(),
            certificates: CertificatePolicy::default(),
            broadcast: BroadcastPolicy::default(),
            bundle_ids: Vec::new(),
            strictness: Strictness::default(),
            streams_max: 1000,
            window_bytes: 65_535,
            rtt_ms: 0,
            clock_offset_s: 0,
            devices: true,
            log: LogMode::default(),
            faults: Faults::default(),
            connections_max: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CertificateRefusal, Reason};

    #[test]
    fn rules_come_from_a_file() {
        let rules = Rules::from_toml(
            "[strictness]\nlower_case_id = true\n[tokens]\nwrong_environment = \"BadEnvironmentKeyInToken\"\n\
             [certificates]\nrefusal = \"answer\"\n[broadcast]\nchannels_max = 3",
        )
        .expect("sound");
        assert!(rules.strictness.lower_case_id && rules.strictness.topic_suffix);
        assert_eq!(rules.tokens.wrong_environment, Reason::BadEnvironmentKeyInToken);
        assert_eq!(rules.certificates.refusal, CertificateRefusal::Answer);
        assert_eq!((rules.broadcast.channels_max, rules.tokens.age_max_s), (3, 3600));
        Rules::from_toml("[tokens]\nkeys = []").expect_err("keys are added apart");
    }
}
