//! The faults, each with the alarms that it must bring and those that it may.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use skein_apns_sim::{Faults, Reason};
use skein_core::{PoolName, QueueName, fleet::Wanted, seam::FleetStore as _};
use skein_test_site::{
    keys::{private_file, provider_key},
    site::POOL,
};

use super::Stage;
use crate::installation::{SENDERS, unit};

const NONE: &[&str] = &[];
/// How often it is looked for connections to cut; RabbitMQ's management lists a new one within five seconds. Together longer than the
/// alarm's range and its `for:`.
const CUTS: usize = 50;
/// How long APNs takes to answer meanwhile.
const UNSETTLED_MS: u64 = 900;
/// What a pool that writes nothing, or writes late, brings with it.
const WAITING: [&str; 4] =
    ["SkeinNotificationsLate", "SkeinPoolStandsStill", "SkeinDwellSlow", "SkeinLanesFull"];

pub fn with<'a>(some: &[&'a str]) -> Vec<&'a str> {
    some.iter().chain(&WAITING).copied().collect()
}

pub async fn apns(stage: &mut Stage) {
    let refused = with(&["SkeinApnsFaults", "SkeinRetries", "SkeinInDoubt"]);
    stage
        .fault(
            "APNs is away",
            &["SkeinApnsUnreachable", "SkeinPoolStandsStill"],
            &refused,
            async |stage| {
                stage.apns.set_refusing(true);
                stage.apns.cut_all();
            },
            async |stage| stage.apns.set_refusing(false),
        )
        .await;
    stage
        .apns_fault("APNs answers 503", &["SkeinApnsFaults", "SkeinRetries"], &with(NONE), |faults| {
            faults.request.service_unavailable = 0.3;
        })
        .await;
    stage
        .apns_fault(
            "APNs does not answer some",
            &["SkeinInDoubt"],
            &with(&["SkeinRetries", "SkeinPlanHeld"]),
            |faults| {
                faults.request.silence = 0.04;
            },
        )
        .await;
    stage
        .apns_fault("tokens of the other environment", &["SkeinWrongEnvironment"], NONE, |faults| {
            faults.request.bad_device_token = 0.2;
        })
        .await;
    stage
        .apns_fault("payloads that APNs refuses", &["SkeinAcceptRatioLow"], NONE, |faults| {
            faults.request.refuse = BTreeMap::from([(Reason::PayloadTooLarge, 0.1)]);
        })
        .await;
    stage
        .apns_fault("APNs refuses the key", &["SkeinPoolPaused"], &with(&["SkeinRetries"]), |faults| {
            faults.request.refuse = BTreeMap::from([(Reason::InvalidProviderToken, 1.0)]);
        })
        .await;
}

pub async fn senders_and_monitors(stage: &mut Stage) {
    let moved =
        with(&["SkeinRedeliveries", "SkeinQueueWithoutSender", "SkeinInDoubt", "SkeinQueueNotAttached"]);
    stage.gone("a sender is gone", &["SkeinTargetDown"], &moved, &[unit(1, 'a')]).await;
    let all: Vec<String> = (1..=SENDERS).map(|number| unit(number, 'a')).collect();
    let must = [
        "SkeinNoSender",
        "SkeinQueueWithoutSender",
        "SkeinFleetHeld",
        "SkeinTargetDown",
        "SkeinPoolStandsStill",
    ];
    stage.gone("all senders are gone", &must, &moved, &all).await;
    let monitors = ["skein-monitor@monitor-1", "skein-monitor@monitor-2"].map(str::to_owned);
    stage.gone("all monitors are gone", &["SkeinNoLeader", "SkeinTargetDown"], NONE, &monitors).await;
    let kicked = with(&[
        "SkeinRedeliveries",
        "SkeinQueueWithoutSender",
        "SkeinTargetDown",
        "SkeinInDoubt",
        "SkeinPlanHeld",
    ]);
    stage
        .fault(
            "a sender is frozen and RabbitMQ's management turns the monitors away",
            &["SkeinKicksFail"],
            &kicked,
            async |stage| {
                stage.fleet.services.0.ctl(&["set_user_tags", "skein-monitor-api"]).await.unwrap();
                stage.fleet.host.process(&unit(2, 'a')).pause();
            },
            async |stage| {
                stage
                    .fleet
                    .services
                    .0
                    .ctl(&["set_user_tags", "skein-monitor-api", "administrator"])
                    .await
                    .unwrap();
                stage.fleet.host.process(&unit(2, 'a')).resume();
            },
        )
        .await;
}

pub async fn services(stage: &mut Stage) {
    stage
        .fault(
            "PostgreSQL is away",
            &["SkeinLedgerAway", "SkeinFactsWait"],
            &with(&["SkeinLedgerSlow"]),
            async |stage| stage.fleet.services.2.pause(),
            async |stage| stage.fleet.services.2.resume(),
        )
        .await;
    let slow = "CREATE FUNCTION skein.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END $$; \
                CREATE TRIGGER slow AFTER INSERT ON skein.final FOR EACH STATEMENT EXECUTE FUNCTION skein.slow()";
    stage
        .fault(
            "PostgreSQL is slow",
            &["SkeinLedgerSlow"],
            &with(&["SkeinLedgerAway", "SkeinFactsWait"]),
            async |stage| drop(stage.fleet.services.2.query(&stage.fleet.database, slow).await.unwrap()),
            async |stage| {
                let mend = "DROP TRIGGER slow ON skein.final";
                drop(stage.fleet.services.2.query(&stage.fleet.database, mend).await.unwrap());
            },
        )
        .await;
    let alone = ["SkeinNoLeader", "SkeinPlanHeld", "SkeinQueueWithoutSender", "SkeinFleetHeld"];
    stage
        .fault(
            "ZooKeeper is away",
            &["SkeinCoordinatorAway", "SkeinNoLeader"],
            &alone,
            async |stage| stage.fleet.services.1.pause(),
            async |stage| stage.fleet.services.1.resume(),
        )
        .await;
    stage
        .fault(
            "RabbitMQ has no memory left",
            &["SkeinBrokerAlarm", "SkeinSubmissionsRefused"],
            &["SkeinNotificationsLate", "SkeinPoolStandsStill"],
            async |stage| stage.fleet.services.0.set_memory_alarm(true).await.unwrap(),
            async |stage| stage.fleet.services.0.set_memory_alarm(false).await.unwrap(),
        )
        .await;
    let cut = [
        "SkeinSubmissionsRefused",
        "SkeinRedeliveries",
        "SkeinPlanHeld",
        "SkeinInDoubt",
        "SkeinQueueWithoutSender",
        "SkeinTargetDown",
    ];
    stage
        .fault(
            "RabbitMQ is away",
            &["SkeinBrokerAway", "SkeinQueueNotAttached"],
            &with(&cut),
            async |stage| stage.fleet.services.0.pause(),
            async |stage| stage.fleet.services.0.resume(),
        )
        .await;
}

pub async fn operators(stage: &mut Stage) {
    let queue = QueueName { pool: PoolName::parse(POOL).unwrap(), number: 0 };
    let wish = async |stage: &Stage, wanted: Wanted| {
        stage.fleet.store.wish("tests", wanted).await.unwrap();
    };
    stage
        .fault(
            "a queue is paused",
            &["SkeinNotificationsLate"],
            &["SkeinDwellSlow"],
            async |stage| wish(stage, Wanted::Pause { queue: queue.clone() }).await,
            async |stage| wish(stage, Wanted::Resume { queue: queue.clone() }).await,
        )
        .await;
    stage
        .fault(
            "a producer sends what nobody can read",
            &["SkeinDeadLetters"],
            NONE,
            async |stage| {
                for _ in 0..20 {
                    let letter = json!({"properties": {}, "routing_key": "0", "payload": "no notification", "payload_encoding": "string"});
                    let path = format!("exchanges/skein/skein.{POOL}/publish");
                    stage.fleet.services.0.manage("POST", &path, Some(&letter.to_string())).await.unwrap();
                }
            },
            async |stage| {
                stage.fleet.services.0.manage("DELETE", "queues/skein/skein.dead/contents", None).await.unwrap();
            },
        )
        .await;
    let cut = [
        "SkeinPlanHeld",
        "SkeinInDoubt",
        "SkeinQueueWithoutSender",
        "SkeinQueueNotAttached",
        "SkeinSubmissionsRefused",
    ];
    stage
        .fault(
            "something between senders and broker cuts their connections",
            &["SkeinRedeliveries"],
            &with(&cut),
            async |stage| {
                // What is with APNs when a connection is cut comes a second time: there has to be some.
                let mut faults = Faults::default();
                faults.request.delay_ms = UNSETTLED_MS;
                stage.fleet.site.simulator.set_faults(faults).unwrap();
                let mut cut = 0;
                for _ in 0..CUTS {
                    let all = stage
                        .fleet
                        .services
                        .0
                        .manage("GET", "connections?columns=name,user", None)
                        .await
                        .unwrap();
                    for connection in all.json().unwrap().as_array().unwrap() {
                        if connection["user"].as_str().is_some_and(|user| user.starts_with("skein-sender")) {
                            let name =
                                connection["name"].as_str().unwrap().replace(' ', "%20").replace('>', "%3E");
                            let path = format!("connections/{}", name.replace(':', "%3A"));
                            // One may be gone already.
                            cut +=
                                u32::from(stage.fleet.services.0.manage("DELETE", &path, None).await.is_ok());
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                eprintln!("{cut} connections cut");
            },
            async |stage| stage.fleet.site.simulator.set_faults(Faults::default()).unwrap(),
        )
        .await;
    let key = std::fs::read_to_string(stage.fleet.site.path("AuthKey.p8")).unwrap();
    stage
        .fault(
            "a key is put in place that APNs does not know",
            &["SkeinCredentialRefused"],
            &with(&["SkeinPoolPaused"]),
            async |stage| private_file(&stage.fleet.site.path(""), "AuthKey.p8", &provider_key()),
            async |stage| private_file(&stage.fleet.site.path(""), "AuthKey.p8", &key),
        )
        .await;
}
