//! A rotation in a fleet that pushes nothing: APNs' word on it comes with the next push, whatever was restarted meanwhile.

use std::fs;

use skein_apns_sim::{Faults, checker::FinalVerdict};
use skein_test_site::{books::Books, run::Run};
use skein_tests::{need, until};

use crate::{
    outcome::{end, settled},
    rig::{PER_SECOND, REST_LIMIT, Rig, SENDERS, START_LIMIT, Services, calm_sessions},
    rotation::Credential,
};

/// P1, P5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_apns_refuses_late_is_told_and_undone_and_what_it_takes_needs_no_old_file() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("late-word", 1, 1);
    // Who is restarted keeps its queues, however slow the machine: without any it would push nothing.
    let policy = "restart_grace = \"60s\"\n";
    let mut rig =
        Rig::start_with("late_word", Services::shared().await, run.seed, policy, calm_sessions()).await;
    rig.site.simulator.set_faults(Faults::default()).unwrap();
    let before = rig.load_at(run.seed, PER_SECOND / 5).await;
    rig.flowing(100).await;
    let mut count = before.finish().await.len();
    assert!(settled(&rig, count).await, "P1: {count} were accepted");

    // Nothing is pushed: a key that APNs does not know is in force everywhere.
    let unknown = Credential::key(&rig, 1, false);
    let said = unknown.rotate(&rig, "a slip").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(rig.version_in_force().await, 1);
    in_state(&rig, "on_trial").await;
    // Who is restarted now begins with the old one, and tries it again.
    rig.senders[0].kill();
    rig.senders[0].start();
    rig.senders[0].ready(START_LIMIT).await;
    assert_eq!(rig.version_in_force().await, 1);
    in_state(&rig, "on_trial").await;

    let load = rig.load_at(run.seed, PER_SECOND / 5).await;
    rig.refused_by_senders(1).await;
    in_state(&rig, "in_use").await;
    rig.flowing(100).await;

    // Taken, it needs the old one's file no more.
    let good = Credential::key(&rig, 2, true);
    let said = good.rotate(&rig, "the right one").await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(rig.version_in_force().await, 2);
    in_state(&rig, "in_use").await;
    fs::remove_file(rig.site.path("AuthKey.p8")).unwrap();
    rig.senders[1].kill();
    rig.senders[1].start();
    rig.senders[1].ready(START_LIMIT).await;
    assert_eq!(rig.version_in_force().await, 2);
    rig.flowing(100).await;
    count += load.finish().await.len();
    assert!(settled(&rig, count).await, "P1: {count} were accepted");
    end(&mut rig).await;
    let books = Books::read(&rig.ledger, &rig.database).await;
    let failed = books.verdicts.values().filter(|verdict| **verdict == FinalVerdict::Failed).count();
    assert_eq!(failed, 0, "a refusal of the trial is no verdict");
}

/// Waits until each sender says so of its credential.
async fn in_state(rig: &Rig, state: &str) {
    let all = async || {
        let members = rig.view().await?.members;
        let is = |report: &skein_core::fleet::CredentialReport| report.state == state;
        let all = members.len() == usize::from(SENDERS)
            && members.iter().all(|member| member.report.credentials.values().all(is));
        all.then_some(())
    };
    until("every sender's credential", REST_LIMIT, all).await.unwrap();
}
