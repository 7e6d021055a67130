//! Rotations of certificate and key by the live settings of a fleet under load: nothing fails, and one that APNs refuses is put
//! in place nowhere.

use std::path::PathBuf;

use serde_json::json;
use skein_apns_sim::{Faults, ProviderKey, authority::ClientCertificateSpec};
use skein_test_site::{
    keys::{self, TEAM_ID},
    run::{Run, is_full},
    site::{POOL, TOPIC},
};
use skein_tests::{need, until};

use crate::{
    operations::{Said, conclude},
    rig::{REST_LIMIT, Rig, SENDERS, Services},
};

/// What a full run is measured under.
const PER_SECOND: u32 = 1_000;
/// The same of a quick one.
const PER_SECOND_QUICK: u32 = 300;
/// Bound of a full run, in seconds.
const DONE_WITHIN: f64 = 5.0;

/// A new credential in a file of its own, as the command names it.
pub struct Credential(Vec<String>);

impl Credential {
    /// A key that the simulator knows from now on, or knows as another's.
    pub fn key(rig: &Rig, number: u64, is_known: bool) -> Self {
        let (id, pem) = (format!("KEY{number:07}"), keys::provider_key());
        let known = if is_known { pem.clone() } else { keys::provider_key() };
        rig.site.simulator.set_key(ProviderKey::from_p8(&id, TEAM_ID, None, known.as_bytes()).unwrap());
        let file = private(rig, &format!("AuthKey_{id}.p8"), &pem);
        let file = format!("key_file={}", file.display());
        Self(vec!["kind=token".into(), file, format!("key_id={id}"), format!("team_id={TEAM_ID}")])
    }

    /// A certificate that the simulator's authority has signed.
    fn certificate(rig: &Rig, number: u64, spec: ClientCertificateSpec) -> (Self, String) {
        let pair = rig.site.simulator.authority().client(&spec).unwrap();
        let file = private(rig, &format!("push-{number}.pem"), &format!("{}{}", pair.certificate, pair.key));
        (Self(vec!["kind=certificate".into(), format!("file={}", file.display())]), pair.certificate)
    }

    pub async fn rotate(&self, rig: &Rig, reason: &str) -> Said {
        let mut arguments = vec!["credential", "rotate", POOL, "--reason", reason, "--wait", "60s"];
        self.0.iter().for_each(|to| arguments.extend(["--to", to]));
        rig.operate(&arguments).await
    }
}

fn private(rig: &Rig, name: &str, text: &str) -> PathBuf {
    let path = rig.site.path(name);
    keys::private_file(path.parent().unwrap(), name, text);
    path
}

fn good() -> ClientCertificateSpec {
    ClientCertificateSpec {
        bundle_id: TOPIC.into(),
        topics: vec![TOPIC.into()],
        sandbox: true,
        ..ClientCertificateSpec::default()
    }
}

/// P1, P2, P3, P5: row `rotation`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_by_configuration_lose_nothing_and_a_bad_one_is_refused_everywhere() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("rotation", 2, 20);
    let rig = Rig::start_calm("rotation", Services::shared().await, run.seed).await;
    rig.site.simulator.set_faults(Faults::default()).unwrap();
    let load = rig.load_at(run.seed, if is_full() { PER_SECOND } else { PER_SECOND_QUICK }).await;
    let mut seconds = Vec::new();
    for number in 0..run.runs {
        rig.flowing(300).await;
        let credential = match number % 2 {
            0 => Credential::certificate(&rig, number, good()).0,
            _ => Credential::key(&rig, number, true),
        };
        let said = credential.rotate(&rig, "renewed").await;
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(rig.version_in_force().await, number + 1, "{said:?}");
        seconds.push(said.last()["seconds"].as_f64().unwrap());
        in_use(&rig).await;
    }
    refused_everywhere(&rig, run.runs).await;
    rig.flowing(300).await;
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    let row = json!({"runs": run.runs, "seconds": slowest, "senders": SENDERS});
    conclude(rig, &run, load, row).await;
    if is_full() {
        assert!(slowest <= DONE_WITHIN, "in place on every sender after {slowest} s");
    }
}

/// Bad ones, found out at each of the three places; the last version that is in force is this one before.
async fn refused_everywhere(rig: &Rig, version: u64) {
    // By the command itself: for another environment.
    let (foreign, _) = Credential::certificate(
        rig,
        1_000,
        ClientCertificateSpec { sandbox: false, production: true, ..good() },
    );
    let said = foreign.rotate(rig, "a slip").await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(rig.version_in_force().await, version);
    // A file that is not there: other hosts' files need a word of their own.
    let missing = Credential::key(rig, 1_003, true);
    std::fs::remove_file(rig.site.path("AuthKey_KEY0001003.p8")).unwrap();
    let said = missing.rotate(rig, "a slip").await;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert_eq!(rig.version_in_force().await, version);
    // By each sender's dry connection: revoked.
    let (revoked, pem) = Credential::certificate(rig, 1_001, good());
    let der: rustls::pki_types::CertificateDer<'_> =
        rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes()).unwrap();
    assert!(rig.site.simulator.set_certificate_revoked(&der, true));
    // By APNs' word on the first push with it: a key that is not the one known by its id.
    let unknown = Credential::key(rig, 1_002, false);
    for (number, bad) in [(version + 1, revoked), (version + 3, unknown)] {
        let said = bad.rotate(rig, "a slip").await;
        assert_eq!(said.code, Some(1), "{said:?}");
        rig.refused_by_senders(number).await;
        let list = rig.operate(&["credential", "list", "--fleet"]).await;
        assert_eq!(list.code, Some(1), "{list:?}");
        let back = rig
            .operate(&["credential", "rotate", POOL, "--back", "--reason", "refused", "--wait", "60s"])
            .await;
        assert_eq!(back.code, Some(0), "{back:?}");
        assert_eq!(rig.version_in_force().await, number + 1, "{back:?}");
        in_use(rig).await;
    }
}

/// Waits until each sender says that its credential is in use.
async fn in_use(rig: &Rig) {
    let settled = async || {
        let members = rig.view().await?.members;
        let well = |report: &skein_core::fleet::CredentialReport| report.state == "in_use";
        members.iter().all(|member| member.report.credentials.values().all(well)).then_some(())
    };
    until("every sender's credential in use", REST_LIMIT, settled).await.unwrap();
}
