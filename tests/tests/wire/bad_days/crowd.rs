//! A crowd of pushes through one client, each written until its fate is decided: what was not sent is written again, what is in
//! doubt is not.

use crate::load::{drive, id_of, push};
use skein_apns::{Answer, Client, ClientConfig, Credential, Endpoint, Environment, Evidence, NotSent, Roots};
use skein_apns::{ClientCertificate, TokenKey};
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_apns_sim::log::{Row, Snapshot};
use skein_apns_sim::{Handle, Simulator, SimulatorConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const TOPIC: &str = crate::authority::TOPIC;
const PAYLOAD_BYTES: usize = 120;

/// How each push of a crowd ended.
#[derive(Default)]
pub struct Fates {
    /// Accepted or refused, by status.
    pub replied: BTreeMap<u64, u16>,
    /// Nobody knows.
    pub in_doubt: BTreeSet<u64>,
    /// Certainly not processed, and written again since: why, and the evidence, once for each time.
    pub not_sent: Vec<(u64, NotSent, Evidence)>,
}

/// Writes pushes `keys`, at most `in_flight` unanswered.
pub async fn write_all(client: &mut Client, keys: impl Iterator<Item = u64>, in_flight: usize) -> Fates {
    write_all_watched(client, keys, in_flight, |_| {}).await
}

/// The same; `seen` is told after each batch of answers how many have come in this round.
pub async fn write_all_watched(
    client: &mut Client,
    keys: impl Iterator<Item = u64>,
    in_flight: usize,
    mut seen: impl FnMut(usize),
) -> Fates {
    let mut fates = Fates::default();
    let mut wanted: Vec<u64> = keys.collect();
    while !wanted.is_empty() {
        let pushes: Vec<_> = wanted.drain(..).map(|key| push(key, PAYLOAD_BYTES, "")).collect();
        for (key, done) in drive(client, pushes, in_flight, &mut seen).await {
            match done.answer {
                Answer::Reply { status, .. } => drop(fates.replied.insert(key, status)),
                Answer::InDoubt { .. } => drop(fates.in_doubt.insert(key)),
                Answer::NotSent { why, evidence } => {
                    fates.not_sent.push((key, why, evidence));
                    wanted.push(key);
                }
            }
        }
    }
    fates
}

/// The key of a push by its `apns-id`.
pub fn key_of(id: u128) -> u64 {
    let key = id as u64 & 0xffff_ffff;
    assert_eq!(u128::from_be_bytes(id_of(key)), id, "an id of nobody");
    key
}

/// The simulator's rows, by the key of their push.
pub fn rows_of(log: &Snapshot) -> BTreeMap<u64, Vec<Row>> {
    let mut rows: BTreeMap<u64, Vec<Row>> = BTreeMap::new();
    for row in &log.rows {
        rows.entry(key_of(row.id())).or_default().push(*row);
    }
    rows
}

/// Read, and neither answered nor given back: what the simulator knows to be in doubt.
pub fn unanswered(log: &Snapshot) -> BTreeSet<u64> {
    let open = |row: &&Row| row.written_ns().is_none() && !row.refused();
    log.rows.iter().filter(open).map(|row| key_of(row.id())).collect()
}

pub fn simulator(config: SimulatorConfig) -> Handle {
    Simulator::start(config).unwrap()
}

/// Both ways to prove who we are.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Certificate,
    Token,
}

/// A credential that the simulator takes.
pub fn credential(simulator: &Handle, kind: Kind) -> Credential {
    match kind {
        Kind::Token => Credential::Token(
            TokenKey::from_p8(
                rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes(),
                crate::authority::KEY_ID,
                crate::authority::TEAM_ID,
            )
            .unwrap(),
        ),
        Kind::Certificate => certificate(simulator, &ClientCertificateSpec { sandbox: true, ..spec() }),
    }
}

/// A certificate of the simulator's authority.
pub fn certificate(simulator: &Handle, spec: &ClientCertificateSpec) -> Credential {
    let pair = simulator.authority().client(spec).unwrap();
    let certificate = ClientCertificate::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes());
    Credential::Certificate(certificate.unwrap())
}

/// For [`TOPIC`], and no environment yet.
pub fn spec() -> ClientCertificateSpec {
    ClientCertificateSpec {
        bundle_id: TOPIC.into(),
        topics: vec![TOPIC.into()],
        ..ClientCertificateSpec::default()
    }
}

/// A client's settings for the simulator: quick to connect anew, quick to find silence.
pub fn config(simulator: &Handle) -> ClientConfig {
    let port = simulator.addr().port();
    ClientConfig {
        roots: Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap(),
        connect_interval_min: Duration::from_millis(1),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(50),
        ..ClientConfig::new(Endpoint::custom("localhost", port, Environment::Sandbox).unwrap())
    }
}

/// Runs one client on a runtime of one thread.
pub fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
