//! A simulator, a pool's transport with its keeper, credentials to write into its file, and steady traffic.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::Registry;
use skein_apns::{ClientCertificate, ClientConfig, Credential, Endpoint, Environment, Roots, TokenKey};
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::{ProviderKey, Simulator, SimulatorConfig};
use skein_core::answer::Answer;
use skein_core::notification::Draft;
use skein_core::seam::{Transport as _, Write};
use skein_core::{Notification, PoolName, Timestamp};
use skein_sender::apns_transport::ApnsTransport;
use skein_sender::credential::keeper::{Handle, Keeper, Setup, Source};
use skein_sender::credential::view::CredentialView;
use skein_sender::metrics::Metrics;

const TOPIC: &str = "com.example.im";
const TEAM: &str = "TEAM567890";
/// How often the keeper looks at its file here.
const LOOK: Duration = Duration::from_millis(20);
/// Only a hang ends here.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pushes open at once.
const IN_FLIGHT_MAX: usize = 64;

pub struct Stage {
    pub simulator: skein_apns_sim::Handle,
    pub keeper: Handle,
    pub file: PathBuf,
    registry: Registry,
    config: ClientConfig,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// With what `first` gives as the file's content.
    pub fn new(first: impl FnOnce(&skein_apns_sim::Handle) -> String) -> Self {
        let simulator = Simulator::start(SimulatorConfig::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credential");
        fs::write(&file, first(&simulator)).unwrap();
        let address = simulator.addr();
        let endpoint =
            Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox).unwrap();
        let config = ClientConfig {
            roots: Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap(),
            connect_interval_min: Duration::from_millis(1),
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
            ..ClientConfig::new(endpoint)
        };
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::new(registry.clone()).unwrap());
        let setup = Setup {
            pool: PoolName::parse("im").unwrap(),
            client: config.clone(),
            source: source(&file),
            look: LOOK,
        };
        let keeper = Keeper::start(setup, metrics);
        Self { simulator, keeper, file, registry, config, _folder: folder }
    }

    pub fn transport(&self) -> ApnsTransport {
        ApnsTransport::new(self.config.clone(), self.keeper.slot())
    }

    /// To a peer of one's own; an attempt to connect does not time out.
    pub fn transport_to(&self, port: u16) -> ApnsTransport {
        let endpoint = Endpoint::custom("127.0.0.1", port, Environment::Sandbox).unwrap();
        let config =
            ClientConfig { endpoint, connect_timeout: Duration::from_secs(3_600), ..self.config.clone() };
        ApnsTransport::new(config, self.keeper.slot())
    }

    /// Puts another content into the file at once, as a careful deployment does it.
    pub fn replace(&self, content: &str) {
        let beside = self.file.with_extension("new");
        fs::write(&beside, content).unwrap();
        fs::rename(&beside, &self.file).unwrap();
    }

    /// How often a new credential came to this.
    pub fn count(&self, outcome: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "skein_apns_credential_rotations_total");
        let metrics = family.map(|f| f.get_metric()).unwrap_or_default();
        let of = |m: &&prometheus::proto::Metric| m.get_label().iter().any(|l| l.value() == outcome);
        metrics.iter().find(of).map_or(0, |m| m.get_counter().get_value() as u64)
    }

    /// Waits until the credential's view is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&CredentialView) -> bool) -> CredentialView {
        let waiting = async {
            loop {
                let view = self.keeper.view();
                if wanted(&view) {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{what}: {:?}", self.keeper.view()))
    }

    /// The fingerprint of what the file holds.
    pub fn fingerprint(&self) -> String {
        (source(&self.file).load)().unwrap().info().fingerprint
    }
}

/// Where a credential in this file comes from.
pub fn source(file: &Path) -> Source {
    let file = file.to_owned();
    let path = file.clone();
    let load = move || {
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
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
        let checked = credential.check(Environment::Sandbox, &[TOPIC], SystemTime::now());
        checked.map_err(|error| error.to_string()).map(|()| credential)
    };
    Source { files: vec![file], load: Box::new(load) }
}

/// A certificate that the simulator takes.
pub fn certificate(simulator: &skein_apns_sim::Handle) -> String {
    let spec =
        ClientCertificateSpec { bundle_id: TOPIC.into(), sandbox: true, ..ClientCertificateSpec::default() };
    let pair = simulator.authority().client(&spec).unwrap();
    format!("{}{}", pair.certificate, pair.key)
}

/// A signing key, which the simulator knows or not.
pub fn key(simulator: &skein_apns_sim::Handle, id: &str, known: bool) -> String {
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    if known {
        simulator.set_key(ProviderKey::from_p8(id, TEAM, None, pem.as_bytes()).unwrap());
    }
    format!("key {id}\n{pem}")
}

/// The same key by another id, which the simulator knows it by from now on.
pub fn known_as(simulator: &skein_apns_sim::Handle, key: &str, id: &str) -> String {
    let (_, pem) = key.split_once('\n').unwrap();
    simulator.set_key(ProviderKey::from_p8(id, TEAM, None, pem.as_bytes()).unwrap());
    format!("key {id}\n{pem}")
}

/// What became of the traffic.
#[derive(Debug, Default)]
pub struct Traffic {
    pub accepted: u64,
    /// Not sent, and written again.
    pub again: u64,
    pub failed: Vec<Answer>,
}

/// Pushes until `done`, then until every push is answered; what was not sent is written again.
pub async fn traffic(transport: &mut ApnsTransport, accepted: &Cell<u64>, done: &Cell<bool>) -> Traffic {
    let mut told = Traffic::default();
    let mut open: HashMap<u64, Notification> = HashMap::new();
    let mut waiting: Vec<u64> = Vec::new();
    let (mut next, mut answers) = (1, Vec::new());
    loop {
        while transport.room() > 0 && (!waiting.is_empty() || !done.get() && open.len() < IN_FLIGHT_MAX) {
            let number = waiting.pop().unwrap_or_else(|| {
                next += 1;
                open.insert(next, notification(next));
                next
            });
            transport.write(write(number, &open[&number]));
        }
        if done.get() && open.is_empty() {
            return told;
        }
        tokio::time::timeout(PATIENCE, transport.progress(&mut answers)).await.expect("an answer or room");
        for answered in answers.drain(..) {
            match answered.answer {
                Answer::Reply(reply) if reply.status == 200 => {
                    told.accepted += 1;
                    open.remove(&answered.key);
                }
                Answer::NotSent(_) => {
                    told.again += 1;
                    waiting.push(answered.key);
                }
                other => {
                    told.failed.push(other);
                    open.remove(&answered.key);
                }
            }
        }
        accepted.set(told.accepted);
    }
}

/// The present.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn notification(number: u64) -> Notification {
    Draft::new(format!("{number:064x}"), TOPIC)
        .payload_json(format!("{{\"aps\":{{}},\"skein_seq\":{number}}}"))
        .build(now())
        .unwrap()
}

fn write(number: u64, notification: &Notification) -> Write {
    Write {
        key: number,
        id: notification.id,
        token: notification.token.clone(),
        payload: notification.content.payload.clone(),
        content: Arc::clone(&notification.content),
    }
}

/// P1, P3: by the simulator's own log, what was accepted was delivered once, and nothing else was.
pub fn delivered_once(stage: &Stage, told: &Traffic) {
    let mut delivered: HashMap<u128, u32> = HashMap::new();
    for row in stage.simulator.log().rows.iter().filter(|row| row.delivered()) {
        *delivered.entry(row.id()).or_default() += 1;
    }
    assert_eq!(delivered.len() as u64, told.accepted);
    assert!(delivered.values().all(|copies| *copies == 1));
}
