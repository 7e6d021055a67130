//! An APNs that behaves like Apple's, with faults on demand.
//!
//! It speaks TLS and HTTP/2 with framing of its own, since an ordinary server library can neither change the stream
//! limit in mid-connection nor attach data to a GOAWAY nor choose its last-stream-id. It checks requests like
//! Apple's service ("Sending notification requests to APNs", "Handling notification responses from APNs"), refuses
//! with the same reasons, goes wrong as told ([`faults`]), and logs every request it read ([`log`]). The
//! [`checker`] holds that log against what a producer was promised.
//!
//! ```
//! use skein_apns_sim::{Simulator, SimulatorConfig, faults};
//!
//! let simulator = Simulator::start(SimulatorConfig { faults: faults::realistic(), ..SimulatorConfig::default() })?;
//! println!("point a client at {} and trust {}", simulator.addr(), simulator.ca_pem());
//! assert_eq!(simulator.stats().requests, 0);
//! simulator.shutdown()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod authority;
mod broadcast;
mod certificates;
pub mod checker;
mod client_certificate;
pub mod clock;
mod config;
mod connection;
mod control;
mod devices;
mod driver;
pub mod faults;
pub mod fingerprint;
pub mod log;
mod payload;
mod process;
mod provider_token;
mod push_type;
mod reason;
mod registry;
mod request;
mod shared;
mod simulator;
mod stats;
mod tls;

pub use broadcast::{BROADCAST_BYTES_MAX, BroadcastPolicy, CHANNEL_ID_BYTES_MAX, ChannelShown};
pub use certificates::{CertificatePolicy, CertificateRefusal, EnvironmentRefusal, REVOKED_MAX};
pub use config::{RTT_MS_MAX, Rules, SimulatorConfig, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN};
pub use devices::{DEVICES_MAX, NOTICES_MAX, Notice, REORDER_MS_MAX, STORED_MS_MAX, Shown};
pub use faults::{Faults, realistic};
pub use fingerprint::{fingerprint, fingerprint_of_hex};
pub use payload::{SEQUENCE_KEY, TEXT_BYTES_MAX};
pub use process::{RunError, run};
pub use provider_token::{Environment, ProviderKey, ProviderKeyError, TokenPolicy};
pub use push_type::{PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX_VOIP, PushType};
pub use reason::Reason;
pub use registry::{GoneTimestamp, NAMED_TOKENS_MAX, TokenFaults, TokenState};
pub use request::{COLLAPSE_ID_BYTES_MAX, Strictness, TOPIC_BYTES_MAX};
pub use shared::Network;
pub use simulator::{Handle, Simulator, StartError};
pub use stats::Counts;
