//! A credential in a file, the keeper that watches it, and what can be written into the file: good ones and one that APNs refuses.

use super::crowd::{Kind, TOPIC, spec};
use skein_apns::{ClientCertificate, ClientConfig, Credential, Environment, TokenKey};
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::{Handle, ProviderKey};
use skein_core::PoolName;
use skein_sender::credential::keeper::{self, Keeper, Setup, Source};
use skein_sender::credential::slot::Slot;
use skein_sender::metrics::Metrics;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const TEAM: &str = crate::authority::TEAM_ID;
/// How often the keeper looks at the file.
const LOOK: Duration = Duration::from_millis(20);

pub struct Kept {
    keeper: keeper::Handle,
    file: PathBuf,
    registry: prometheus::Registry,
    _folder: tempfile::TempDir,
}

impl Kept {
    /// With `first` as the file's content.
    pub fn start(pool: &str, client: ClientConfig, first: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credential");
        fs::write(&file, first).unwrap();
        let registry = prometheus::Registry::new();
        let metrics = Arc::new(Metrics::new(registry.clone()).unwrap());
        let source = Source { files: vec![file.clone()], load: Box::new(loader(&file)) };
        let pool = PoolName::parse(pool).unwrap();
        let keeper = Keeper::start(Setup { pool, client, source, look: LOOK }, metrics);
        Self { keeper, file, registry, _folder: folder }
    }

    /// For the pool.
    pub fn slot(&self) -> Arc<Slot> {
        self.keeper.slot()
    }

    /// Puts another content into the file at once; gives the fingerprint of the new credential.
    pub fn replace(&self, content: &str) -> String {
        let beside = self.file.with_extension("new");
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &self.file).unwrap();
        loader(&self.file)().unwrap().info().fingerprint
    }

    /// The fingerprint of the credential in use; none while one is on trial.
    pub fn in_use(&self) -> Option<String> {
        let view = self.keeper.view();
        view.fingerprint.filter(|_| view.state == "in_use")
    }

    /// How often a new credential came to this.
    pub fn count(&self, outcome: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "skein_apns_credential_rotations_total");
        let metrics = family.map(|f| f.get_metric()).unwrap_or_default();
        let is_it = |m: &&prometheus::proto::Metric| {
            m.get_label().iter().any(|l| l.name() == "outcome" && l.value() == outcome)
        };
        metrics.iter().find(is_it).map_or(0, |m| m.get_counter().get_value() as u64)
    }
}

/// A file starts with `key` and the key's id, or is a certificate with its key.
fn loader(file: &Path) -> impl Fn() -> Result<Credential, String> + Send + Sync + use<> {
    let file = file.to_owned();
    move || {
        let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let credential = match text.strip_prefix("key ") {
            Some(rest) => {
                let (id, pem) = rest.split_once('\n').ok_or("half a file")?;
                TokenKey::from_p8(pem.as_bytes(), id, TEAM).map(Credential::Token)
            }
            None => {
                ClientCertificate::from_pem(text.as_bytes(), text.as_bytes()).map(Credential::Certificate)
            }
        };
        let credential = credential.map_err(|error| error.to_string())?;
        let fits = credential.check(Environment::Sandbox, &[TOPIC], SystemTime::now());
        fits.map_err(|error| error.to_string()).map(|()| credential)
    }
}

/// A file's content that APNs takes: another certificate, or another key, which the simulator knows from now on by `id`.
pub fn good(simulator: &Handle, kind: Kind, id: &str) -> String {
    match kind {
        Kind::Certificate => certificate(simulator).0,
        Kind::Token => {
            let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
            simulator.set_key(ProviderKey::from_p8(id, TEAM, None, pem.as_bytes()).unwrap());
            format!("key {id}\n{pem}")
        }
    }
}

/// One that APNs refuses although it reads well: a revoked certificate, or a key that is not the one known by `id`.
pub fn refused(simulator: &Handle, kind: Kind, id: &str) -> String {
    match kind {
        Kind::Certificate => {
            let (text, der) = certificate(simulator);
            assert!(simulator.set_certificate_revoked(&der, true));
            text
        }
        Kind::Token => format!("key {id}\n{}", rcgen::KeyPair::generate().unwrap().serialize_pem()),
    }
}

fn certificate(simulator: &Handle) -> (String, Vec<u8>) {
    let pair = simulator.authority().client(&ClientCertificateSpec { sandbox: true, ..spec() }).unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(pair.certificate.as_bytes());
    let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
    (format!("{}{}", pair.certificate, pair.key), der.to_vec())
}
