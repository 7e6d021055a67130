//! More than half of the fleet is gone at once: nothing moves until a person says so.

use skein_test_site::run::Run;
use skein_tests::{need, process::skein, until};

use crate::{
    outcome::{Copies, Measure, judge},
    rig::{REST_LIMIT, Rig, SESSION_TIMEOUT, Services},
};

/// P1, P2, P3: row `half-gone`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_more_than_half_of_the_fleet_owned_is_held_until_it_is_released() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let run = Run::new("half-gone", 1, 1);
    // So that the second is gone before the first counts as one that comes no more.
    let policy = "restart_grace = \"5s\"\n";
    let mut rig =
        Rig::start_with("half_gone", Services::shared().await, run.seed, policy, SESSION_TIMEOUT).await;
    let load = rig.load(run.seed).await;
    rig.flowing(500).await;
    let before = rig.owners().await;
    let mut faults = vec![rig.kill(0).await, rig.kill(1).await];
    let held = async || {
        let page = rig.fleet_page().await?;
        let held = page["plan"]["held"].as_array()?.iter().any(|held| held["what"] == "half_gone");
        (held && !page["alarms"].as_array()?.is_empty()).then_some(())
    };
    until("the hold and its alarm", REST_LIMIT, held).await.unwrap();
    // As long as it takes a session to end and a lone loss to be taken over, and as long again.
    rig.flowing(2_000).await;
    assert_eq!(rig.moves_since(&before).await, 0, "nothing moves while it is held");
    for fault in &mut faults {
        fault.at_ns = skein_apns_sim::clock::monotonic_ns();
    }
    let config = rig.monitors[0].config.display().to_string();
    let command = ["queue", "rebalance", "--release-hold", "--config", &config];
    let mut command = skein(command).unwrap().start().unwrap();
    let code = command.wait_exit(REST_LIMIT).await.unwrap().code();
    assert_eq!(code, Some(0), "one command releases it: {}{}", command.output(), command.log());
    for fault in &faults {
        rig.taken_over(&load, fault).await;
    }
    rig.at_rest().await;
    let moves = rig.moves_since(&before).await;
    judge(rig, &run, load, &faults, Measure::NextOwner, moves, Copies::Possible).await;
}
