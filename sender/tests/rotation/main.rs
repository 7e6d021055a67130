//! Credentials change while pushes flow, against the simulator: none is lost or failed, and a bad new one changes nothing.

mod stage;

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use skein_core::PushType;
use skein_core::notification::Draft;
use skein_core::seam::{Transport as _, TroubleClass};
use skein_sender::credential::events::Cause;
use skein_sender::credential::keeper::Outcome;
use skein_sender::credential::view::CredentialView;
use stage::{PATIENCE, Stage, Traffic, certificate, delivered_once, key, known_as, now, source, traffic};

/// Pushes accepted between two rotations.
const BETWEEN: u64 = 200;

/// Runs traffic while `script` goes on.
async fn under_load(stage: &Stage, accepted: &Cell<u64>, script: impl Future<Output = ()>) -> Traffic {
    let done = Cell::new(false);
    let mut transport = stage.transport();
    let pushes = traffic(&mut transport, accepted, &done);
    let script = async {
        script.await;
        done.set(true);
    };
    let ((), told) = tokio::join!(script, pushes);
    told
}

async fn more(accepted: &Cell<u64>) {
    let wanted = accepted.get() + BETWEEN;
    while accepted.get() < wanted {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn p1_twenty_rotations_of_certificates_and_keys_lose_and_fail_nothing() {
    let stage = Stage::new(certificate);
    let accepted = Cell::new(0);
    let script = async {
        for n in 0..20 {
            more(&accepted).await;
            let simulator = &stage.simulator;
            let new = if n % 2 == 0 {
                key(simulator, &format!("KEY00000{n:02}"), true)
            } else {
                certificate(simulator)
            };
            stage.replace(&new);
            let fingerprint = stage.fingerprint();
            let is_in_use = |view: &CredentialView| {
                view.state == "in_use" && view.fingerprint.as_ref() == Some(&fingerprint)
            };
            stage.until("the new one is in use", is_in_use).await;
        }
        more(&accepted).await;
    };
    let told = under_load(&stage, &accepted, script).await;
    assert_eq!(told.failed, []);
    assert_eq!((stage.count("rotated"), stage.count("taken")), (20, 20));
    assert_eq!((stage.count("refused"), stage.count("reverted")), (0, 0));
    delivered_once(&stage, &told);
}

#[tokio::test]
async fn p5_a_new_key_that_apns_refuses_is_given_back() {
    let stage = Stage::new(|simulator| key(simulator, "GOODKEY001", true));
    let old = stage.fingerprint();
    let accepted = Cell::new(0);
    let script = async {
        for round in 0..3 {
            more(&accepted).await;
            stage.replace(&key(&stage.simulator, &format!("BADKEY000{round}"), false));
            while stage.count("reverted") <= round {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let view = stage.until("the old one is back", |view| view.state == "in_use").await;
            assert_eq!(view.fingerprint.as_ref(), Some(&old));
            assert!(view.trouble.is_some_and(|why| why.contains("InvalidProviderToken")));
        }
        more(&accepted).await;
    };
    let told = under_load(&stage, &accepted, script).await;
    assert_eq!(told.failed, [], "a refusal of the trial is no verdict");
    assert!(told.again > 0, "the bad one was tried by pushes");
    assert_eq!((stage.count("rotated"), stage.count("reverted")), (3, 3), "each once");
    delivered_once(&stage, &told);
}

#[tokio::test]
async fn p5_a_revoked_certificate_is_refused_before_any_push() {
    let stage = Stage::new(certificate);
    let old = stage.fingerprint();
    let accepted = Cell::new(0);
    let script = async {
        more(&accepted).await;
        let revoked = certificate(&stage.simulator);
        let der = rcgen_der(&revoked);
        assert!(stage.simulator.set_certificate_revoked(&der, true));
        fs::write(&stage.file, revoked).unwrap();
        let outcome = stage.keeper.rotate(Cause::Command, None).await;
        assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("refuses")), "{outcome:?}");
        more(&accepted).await;
    };
    let told = under_load(&stage, &accepted, script).await;
    assert_eq!((told.failed.as_slice(), told.again), (&[][..], 0));
    let view = stage.keeper.view();
    assert_eq!((view.state, view.fingerprint), ("in_use", Some(old)));
    delivered_once(&stage, &told);
}

fn rcgen_der(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let body = pem.split("-----").nth(2).unwrap().replace(['\n', '\r'], "");
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

#[tokio::test]
async fn half_a_file_is_refused_once_and_a_whole_one_taken() {
    let stage = Stage::new(certificate);
    let whole = certificate(&stage.simulator);
    let accepted = Cell::new(0);
    let script = async {
        more(&accepted).await;
        fs::write(&stage.file, &whole[..whole.len() / 2]).unwrap();
        stage.until("refused", |view| view.trouble.is_some()).await;
        more(&accepted).await;
        assert_eq!(stage.count("refused"), 1, "one alarm for one change");
        fs::write(&stage.file, &whole).unwrap();
        stage.until("taken", |view| view.trouble.is_none() && view.state == "in_use").await;
        while stage.count("taken") == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let told = under_load(&stage, &accepted, script).await;
    assert_eq!(told.failed, []);
    delivered_once(&stage, &told);
}

#[tokio::test]
async fn what_has_not_changed_is_not_tried_and_no_way_to_apns_postpones() {
    let stage = Stage::new(certificate);
    let before = stage.simulator.stats().connections;
    let outcome = stage.keeper.rotate(Cause::Command, None).await;
    assert!(matches!(outcome, Outcome::Unchanged), "{outcome:?}");
    assert_eq!(stage.simulator.stats().connections, before);
    stage.replace(&certificate(&stage.simulator));
    let Stage { simulator, keeper, .. } = stage;
    simulator.shutdown().unwrap();
    let outcome = keeper.rotate(Cause::Command, None).await;
    assert!(matches!(outcome, Outcome::Away(_)), "{outcome:?}");
    assert_eq!(keeper.view().state, "in_use", "the old one");
}

/// A key's id is part of what it is: corrected, with the same file, it is taken up.
#[tokio::test]
async fn the_same_key_by_its_right_id_is_another_credential() {
    let stage = Stage::new(|simulator| key(simulator, "WRONGKEY01", false));
    let wrong = fs::read_to_string(&stage.file).unwrap();
    let mut transport = stage.transport();
    stage.replace(&known_as(&stage.simulator, &wrong, "RIGHTKEY01"));
    let right = |view: &CredentialView| view.key.as_deref() == Some("RIGHTKEY01");
    stage.until("the right id", right).await;
    let (accepted, done) = (Cell::new(0), Cell::new(false));
    let script = async {
        more(&accepted).await;
        done.set(true);
    };
    let ((), told) = tokio::join!(script, traffic(&mut transport, &accepted, &done));
    assert_eq!(told.failed, []);
    stage.until("taken", |view| right(view) && view.state == "in_use").await;
}

/// P5: where nothing is pushed, APNs' word on a key comes late, and is told all the same; the old one's file is looked at again.
#[tokio::test]
async fn one_that_is_given_back_late_is_told_and_leaves_nothing_behind() {
    let stage = Stage::new(|simulator| key(simulator, "GOODKEY001", true));
    let old = stage.fingerprint();
    let mut transport = stage.transport();
    let elsewhere = stage.file.with_extension("elsewhere");
    fs::write(&elsewhere, key(&stage.simulator, "BADKEY0001", false)).unwrap();
    let outcome = stage.keeper.rotate(Cause::Configuration, Some(source(&elsewhere))).await;
    let Outcome::Rotated(judgement) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stage.keeper.view().state, "on_trial");
    let (accepted, done) = (Cell::new(0), Cell::new(false));
    let script = async {
        let why = judgement.ended().await.unwrap_err();
        assert!(why.contains("InvalidProviderToken"), "{why}");
        let view = stage.until("the old one is back", |view| view.state == "in_use").await;
        assert_eq!((view.fingerprint.as_ref(), view.trouble), (Some(&old), Some(why)));
        stage.replace(&key(&stage.simulator, "GOODKEY002", true));
        let new = |view: &CredentialView| view.key.as_deref() == Some("GOODKEY002");
        stage.until("what its file holds now", |view| new(view) && view.state == "in_use").await;
        done.set(true);
    };
    let ((), told) = tokio::join!(script, traffic(&mut transport, &accepted, &done));
    assert_eq!(told.failed, [], "a refusal of the trial is no verdict");
    delivered_once(&stage, &told);
}

/// Who goes back before APNs has said anything has the old one at once, on no trial, and without a way to APNs.
#[tokio::test]
async fn back_during_the_trial_needs_no_trial() {
    let stage = Stage::new(|simulator| key(simulator, "GOODKEY001", true));
    let old = stage.fingerprint();
    let elsewhere = stage.file.with_extension("elsewhere");
    fs::write(&elsewhere, key(&stage.simulator, "BADKEY0001", false)).unwrap();
    let outcome = stage.keeper.rotate(Cause::Configuration, Some(source(&elsewhere))).await;
    assert!(matches!(outcome, Outcome::Rotated(_)), "{outcome:?}");
    let Stage { simulator, keeper, file, .. } = &stage;
    let before = simulator.stats().connections;
    let outcome = keeper.rotate(Cause::Configuration, Some(source(file))).await;
    let Outcome::Rotated(judgement) = outcome else { panic!("{outcome:?}") };
    assert_eq!(judgement.ended().await, Ok(()));
    let view = keeper.view();
    assert_eq!((view.state, view.fingerprint, view.trouble), ("in_use", Some(old), None));
    assert_eq!(simulator.stats().connections, before);
}

/// P5: a pool whose credential can't be used at the start waits, and begins when there is one.
#[tokio::test]
async fn a_pool_without_a_credential_waits_for_one() {
    let stage = Stage::new(|_| "nothing".into());
    let mut transport = stage.transport();
    assert_eq!(transport.room(), 0);
    assert!(transport.trouble().is_some_and(|trouble| trouble.class == TroubleClass::NoCredential));
    assert!(stage.keeper.view().stops().is_some());
    stage.replace(&certificate(&stage.simulator));
    let (accepted, done) = (Cell::new(0), Cell::new(false));
    let pushes = traffic(&mut transport, &accepted, &done);
    let script = async {
        more(&accepted).await;
        done.set(true);
    };
    let ((), told) = tokio::join!(script, pushes);
    assert_eq!(told.failed, []);
    assert_eq!(stage.keeper.view().stops(), None);
}

/// P5: what the certificate does not list is not written, since APNs would refuse it for the whole pool.
#[tokio::test]
async fn a_topic_that_the_certificate_does_not_list_is_not_covered() {
    let stage = Stage::new(certificate);
    let transport = stage.transport();
    let content = |push_type: PushType, topic: &str| {
        let draft = Draft::new("ab", topic).payload_json("{\"aps\":{}}").push_type(push_type);
        draft.build(now()).unwrap().content
    };
    assert!(transport.covers(&content(PushType::Alert, "com.example.im")));
    assert!(!transport.covers(&content(PushType::Voip, "com.example.im.voip")));
}

#[tokio::test]
async fn a_peer_that_takes_connections_and_never_speaks_is_a_trouble_before_an_attempt_times_out() {
    let stage = Stage::new(certificate);
    stage.until("in use", |view| view.state == "in_use").await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut transport = stage.transport_to(silent.local_addr().unwrap().port());
    let mut answers = Vec::new();
    let trouble = async {
        loop {
            if let Some(trouble) = transport.trouble() {
                return trouble;
            }
            let turn = transport.progress(&mut answers);
            let _ = tokio::time::timeout(Duration::from_millis(20), turn).await;
        }
    };
    let trouble = tokio::time::timeout(PATIENCE, trouble).await.unwrap();
    assert_eq!(trouble.class, TroubleClass::Network, "{}", trouble.why);
}
