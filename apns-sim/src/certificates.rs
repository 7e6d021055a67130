//! Which client certificates are let in, and how the others are turned away.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use serde::{Deserialize, Serialize};

use crate::client_certificate::ClientCertificate;
use crate::fingerprint::{BuildMixed, fingerprint};

/// How a certificate is refused that is expired, revoked or of a foreign issuer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateRefusal {
    /// In the TLS handshake. Under TLS 1.3 a client's own handshake is done by then: it meets the alert when it reads.
    #[default]
    Handshake,
    /// By 403 `BadCertificate` for each request.
    Answer,
}

/// How a certificate is refused that is not for this environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentRefusal {
    /// By 403 `BadCertificateEnvironment` for each request.
    #[default]
    Answer,
    /// By two GOAWAYs in a row with that reason, before any request, as seen in 2016.
    Goaway,
}

/// How client certificates are judged ("Establishing a certificate-based connection to APNs").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CertificatePolicy {
    /// For expired, revoked and foreign ones.
    pub refusal: CertificateRefusal,
    /// For those of the other environment.
    pub wrong_environment: EnvironmentRefusal,
    /// Take only those that the simulator's own [`Authority`](crate::authority::Authority) issued. Default: off.
    pub own_only: bool,
}

/// The most certificates that can be revoked.
pub const REVOKED_MAX: usize = 1 << 16;

/// The policy and what it needs to know.
#[derive(Debug)]
pub(crate) struct Certificates {
    policy: CertificatePolicy,
    issuer: Arc<dyn ClientCertVerifier>,
    revoked: RwLock<HashSet<u64, BuildMixed>>,
    /// How far the clock that is played is ahead.
    clock_offset_s: i64,
}

impl Certificates {
    pub(crate) fn new(
        policy: CertificatePolicy,
        ca: CertificateDer<'static>,
        clock_offset_s: i64,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(ca)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let issuer = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let issuer = issuer.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { policy, issuer, revoked: RwLock::default(), clock_offset_s })
    }

    /// Revokes a certificate, or takes that back; open connections go on, as with Apple. `false` if there is no room.
    pub(crate) fn set_revoked(&self, certificate: &[u8], revoked: bool) -> bool {
        let mut all = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        let name = fingerprint(certificate);
        if !revoked {
            all.remove(&name);
            return true;
        }
        let has_room = all.len() < REVOKED_MAX;
        if has_room {
            all.insert(name);
        }
        has_room
    }

    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let now_s = now.as_secs().saturating_add_signed(self.clock_offset_s);
        if self.revoked.read().unwrap_or_else(PoisonError::into_inner).contains(&fingerprint(certificate)) {
            return Err(CertificateError::Revoked.into());
        }
        let parsed = ClientCertificate::parse(certificate);
        if parsed.as_ref().is_some_and(|parsed| !parsed.is_valid_at(now_s)) {
            return Err(CertificateError::Expired.into());
        }
        if self.policy.own_only {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
            self.issuer.verify_client_cert(certificate, intermediates, now)?;
        }
        Ok(())
    }

    /// What the TLS handshake says.
    pub(crate) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.policy.refusal {
            CertificateRefusal::Handshake => self.judge(certificate, intermediates, now),
            CertificateRefusal::Answer => Ok(()),
        }
    }

    /// What a connection is to know of the chain its client showed.
    pub(crate) fn read(&self, chain: &[CertificateDer<'_>]) -> Option<ClientCertificate> {
        let (certificate, intermediates) = chain.split_first()?;
        let mut parsed = ClientCertificate::parse(certificate)?;
        parsed.is_refused = self.judge(certificate, intermediates, UnixTime::now()).is_err();
        Some(parsed)
    }

    pub(crate) fn wrong_environment(&self) -> EnvironmentRefusal {
        self.policy.wrong_environment
    }
}
