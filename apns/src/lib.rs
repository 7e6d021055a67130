//! A client for Apple's push service (APNs): its own HTTP/2, connections and credentials.
//!
//! Made for many pushes at little cost on one thread, and for knowing afterwards what became of each: every request
//! ends in one [`Answer`], which is a reply of APNs, *not sent* (safe to write again), or *in doubt* (written, and
//! nobody can know). It knows nothing of queues or stores.
//!
//! - [`Client`] owns the connections of one [`Credential`] on one `current_thread` tokio runtime.
//! - [`connection::Connection`] is the HTTP/2 machine beneath it: bytes and time in, bytes and answers out.
//! - [`frame`] and [`hpack`] serve others too, such as a server that plays APNs.
//!
//! `examples/push.rs` is a whole program.
//!
//! ```
//! use skein_apns::{Client, ClientConfig, Credential, Endpoint, Environment, TokenKey};
//!
//! fn client(p8: &[u8]) -> Result<Client, skein_apns::CredentialError> {
//!     let key = TokenKey::from_p8(p8, "ABCDE12345", "TEAM567890")?;
//!     let credential = Credential::Token(key);
//!     credential.check(Environment::Sandbox, &["com.example.im"], std::time::SystemTime::now())?;
//!     Ok(Client::new(ClientConfig::new(Endpoint::apple(Environment::Sandbox)), credential))
//! }
//! # assert!(client(b"").is_err());
//! ```

#![deny(unsafe_code)]

pub mod connection;
pub mod frame;
pub mod hpack;

mod answer;
mod body;
mod channels;
mod client;
mod credential;
mod dial;
mod endpoint;
mod header_block;
mod link;
mod probe;
mod proxy;
mod quiet_link;
mod reach;
mod ready;
mod reason;
mod request;
mod secret;
mod stream;
mod tls;

pub use answer::{Answer, ConnectFailure, Evidence, InDoubt, NotSent};
pub use body::ErrorBody;
pub use channels::{
    BROADCAST_BYTES_MAX, Broadcast, CHANNEL_ID_BYTES_MAX, Channel, ChannelError, Channels, Receipt,
    StoragePolicy,
};
pub use client::{Client, ClientConfig, Health, LastFailure, Status};
pub use connection::Answered;
pub use credential::{
    CertificateInfo, ClientCertificate, Credential, CredentialError, CredentialInfo, TokenKey,
};
pub use dial::DialError;
pub use endpoint::{ALTERNATIVE_PORT, BadHost, Endpoint, Environment, Proxy};
pub use probe::{Probe, ProbeError, probe};
pub use reason::{Reason, UNKNOWN_REASON_BYTES_MAX};
pub use request::{Expiration, Priority, PushType, Request};
pub use secret::Secret;
pub use tls::{BadRoots, Roots};
