//! A dry connection: what the handshake and the first frames say of a credential, with nothing pushed.

use crate::answer::ConnectFailure;
use crate::client::ClientConfig;
use crate::connection::Lost;
use crate::credential::Credential;
use crate::dial::DialError;
use crate::quiet_link::QuietLink;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A dry connection that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The address that answered: APNs', or the proxy's.
    pub address: SocketAddr,
    /// From the first packet to the answered PING.
    pub took: Duration,
}

/// Why a dry connection did not go well.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProbeError {
    /// APNs refuses the credential.
    #[error("apns refuses the credential: {0}")]
    Refused(String),
    /// There is no connection, whatever the credential: nothing is known of it.
    #[error("{0}")]
    Unreachable(#[from] DialError),
    /// The connection ended without saying why.
    #[error("the connection ended before apns had answered ({0})")]
    Lost(&'static str),
}

impl ProbeError {
    /// Whether it speaks against the credential, and not against the way to APNs.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ProbeError::Refused(_))
    }
}

/// Connects with a credential, waits until APNs has answered a PING, and closes. A certificate that APNs refuses in the
/// handshake, or by GOAWAY, is found; what APNs says of a provider token it says only of a push, so that a token key's
/// connection proves the way alone.
///
/// The PING matters: with TLS 1.3 the server may speak before it has seen our certificate (RFC 8446 §4.4.2).
///
/// # Cancellation safety
///
/// Safe: dropped, its connection is closed.
pub async fn probe(config: &ClientConfig, credential: &Credential) -> Result<Probe, ProbeError> {
    let began = Instant::now();
    let opened = QuietLink::open(config, credential, None, Duration::ZERO, 0).await;
    let mut link = opened.map_err(|error| match error.failure {
        ConnectFailure::ClientCertificate => ProbeError::Refused(error.detail),
        _ => ProbeError::Unreachable(error),
    })?;
    let patience = tokio::time::timeout(config.connect_timeout, answered(&mut link)).await;
    patience.unwrap_or(Err(ProbeError::Lost("silent")))?;
    let address = link.address;
    link.end(Lost::Ours).await;
    Ok(Probe { address, took: began.elapsed() })
}

/// Until a PING is answered, or the connection ends.
async fn answered(link: &mut QuietLink) -> Result<(), ProbeError> {
    let mut answers = Vec::new();
    loop {
        let ended = link.turn(&mut answers).await;
        if let Some(goaway) = link.machine.goaway() {
            let why = goaway.reason.as_ref().map_or("it ends the connection", |reason| reason.label());
            return Err(ProbeError::Refused(why.to_owned()));
        }
        match ended {
            Err(Lost::CertificateRefused) => {
                let why = "it refuses the certificate in the handshake";
                return Err(ProbeError::Refused(why.to_owned()));
            }
            Err(lost) => return Err(ProbeError::Lost(lost.label())),
            Ok(()) if link.machine.counters().pongs > 0 => return Ok(()),
            Ok(()) => {}
        }
    }
}
