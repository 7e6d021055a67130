//! The faults that take longer to make: a backlog, two versions, a certificate that runs out, a sender that comes and goes, many tokens
//! that are gone.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_core::{
    DeviceToken, Notification, NotificationId, PoolName, QueueName, Slot, SlotMap, fleet::Wanted,
    notification::Draft, seam::FleetStore as _,
};
use skein_producer::Wait;
use skein_test_site::{
    keys::private_file,
    load::{Random, payload},
    site::{POOL, TOPIC},
};
use skein_tests::until;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Stage, faults::with};
use crate::{
    installation::{QUEUES, member, unit},
    run,
};

const LIMIT: Duration = Duration::from_secs(120);
const WEEK: u64 = 7 * 86_400;
/// Group messages to the devices of a queue, and those devices: more than a shard may hold. They come before the rest has used up what the
/// queue's owner takes at a time (128 messages).
const GROUPS: u64 = 20;
const DEVICES: usize = 900;
/// So many queues are paused, the pool as a whole is not; so long before the first goes on, and so long until the next: the figures are
/// of ten seconds.
const PAUSES: u16 = QUEUES as u16 - 1;
const PAUSED: Duration = Duration::from_secs(22);
const NEXT: Duration = Duration::from_secs(6);

/// What Prometheus has from a week ago: a token gone now and then.
pub fn a_week_ago(folder: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut text = "# TYPE skein_notifications counter\n".to_owned();
    for (count, at) in (now - WEEK - 120..now - WEEK + 3600).step_by(5).enumerate() {
        let labels = format!(
            "instance=\"127.0.0.1:1\",job=\"skein-sender\",pool=\"{POOL}\",verdict=\"token_invalid\""
        );
        text += &format!("skein_notifications_total{{{labels}}} {} {at}\n", count as f64 / 100.0);
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("week.om"), text + "# EOF\n").unwrap();
    run(folder, "promtool", ["tsdb", "create-blocks-from", "openmetrics", "week.om", "data"]);
}

pub async fn waiting(stage: &mut Stage) {
    let wish = async |stage: &Stage, pause: bool, number: u16| {
        let queue = QueueName { pool: PoolName::parse(POOL).unwrap(), number };
        let wanted = if pause { Wanted::Pause { queue } } else { Wanted::Resume { queue } };
        stage.fleet.store.wish("tests", wanted).await.unwrap();
    };
    stage
        .fault(
            "queues are paused and go on one after another",
            &["SkeinDwellSlow", "SkeinNotificationsLate"],
            &[],
            async |stage| {
                for queue in 0..PAUSES {
                    wish(stage, true, queue).await;
                }
                tokio::time::sleep(PAUSED).await;
                for queue in 0..PAUSES {
                    wish(stage, false, queue).await;
                    tokio::time::sleep(NEXT).await;
                }
            },
            async |_| {},
        )
        .await;
    stage
        .fault(
            "APNs is away while a queue is filled",
            &["SkeinLanesFull", "SkeinApnsUnreachable"],
            &with(&["SkeinApnsFaults", "SkeinRetries", "SkeinInDoubt"]),
            async |stage| {
                let (groups, pool) = (for_one_queue(), PoolName::parse(POOL).unwrap());
                let producer = stage.fleet.producer();
                // It is connected before the fault begins.
                let (token, first) = (Random(8).token(), NotificationId::now().at());
                let first =
                    Draft::new("", TOPIC).payload_json(payload("first", 0)).build_for([(token, None)], first);
                producer.submit_many(&pool, first.unwrap(), Wait::Forever).await.remove(0).unwrap();
                stage.apns.set_refusing(true);
                stage.apns.cut_all();
                let submitted =
                    groups.into_iter().map(|group| producer.submit_many(&pool, group, Wait::Forever));
                for outcome in join_all(submitted).await.into_iter().flatten() {
                    outcome.unwrap();
                }
            },
            async |stage| stage.apns.set_refusing(false),
        )
        .await;
}

/// Group messages for devices of one queue.
fn for_one_queue() -> Vec<Vec<Notification>> {
    let slots = SlotMap::even(QUEUES as u16);
    let mut random = Random(7);
    let mut tokens = Vec::new();
    while tokens.len() < DEVICES {
        let token = random.token();
        if slots.queue(Slot::of(&DeviceToken::parse(&token).unwrap())) == 0 {
            tokens.push((token, None));
        }
    }
    let group = |number| {
        let group = Draft::new("", TOPIC).payload_json(payload("for all", number));
        let built = group.build_for(tokens.clone(), NotificationId::now().at());
        built.unwrap_or_else(|faults| panic!("{faults:?}"))
    };
    (0..GROUPS).map(group).collect()
}

pub async fn versions_and_certificates(stage: &mut Stage) {
    let other = another_version().await;
    let gateways = [stage.gateway.clone(), other.to_string()];
    stage
        .fault(
            "a role of another version (its page; there is no other program)",
            &["SkeinVersionsMixed"],
            &[],
            async |stage| stage.prometheus.hosts("gateway", &gateways),
            async |stage| stage.prometheus.hosts("gateway", &gateways[..1]),
        )
        .await;
    let spec = ClientCertificateSpec {
        bundle_id: TOPIC.into(),
        topics: vec![TOPIC.into()],
        sandbox: true,
        expires: Some(SystemTime::now() + Duration::from_secs(20 * 86_400)),
        ..ClientCertificateSpec::default()
    };
    stage
        .fault(
            "a certificate runs out in twenty days",
            &["SkeinCredentialExpires"],
            &[],
            async |stage| {
                let pair = stage.fleet.site.simulator.authority().client(&spec).unwrap();
                let text = format!("{}{}", pair.certificate, pair.key);
                private_file(&stage.fleet.site.path(""), "push.pem", &text);
                let file = format!("file={}", stage.fleet.site.path("push.pem").display());
                rotate(stage, &["--to", "kind=certificate", "--to", &file]);
            },
            async |stage| rotate(stage, &["--back"]),
        )
        .await;
}

fn rotate(stage: &Stage, to: &[&str]) {
    let mut words = vec!["credential", "rotate", POOL, "--reason", "a test", "--wait", "60s"];
    words.extend(to);
    stage.fleet.administer(&words);
}

/// A page that says what a role of another version says of itself.
async fn another_version() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = "# TYPE skein_build_info gauge\nskein_build_info{version=\"0.0.0\"} 1\n";
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            // One that reads no more comes again.
            let _ = stream.write_all((head + body).as_bytes()).await;
        }
    });
    address
}

/// What is felt for long afterwards: the last ones.
pub async fn lasting(stage: &mut Stage) {
    let moved = with(&[
        "SkeinRedeliveries",
        "SkeinQueueWithoutSender",
        "SkeinInDoubt",
        "SkeinQueueNotAttached",
        "SkeinTargetDown",
    ]);
    stage
        .fault(
            "a sender comes and goes",
            &["SkeinPlanHeld"],
            &moved,
            async |stage| {
                let set = "monitor.policy.flap_losses_max=1";
                stage
                    .fleet
                    .administer(&["config", "live", "set", set, "--reason", "a test", "--wait", "60s"]);
                for _ in 0..3 {
                    stage.fleet.host.process(&unit(3, 'a')).kill9();
                    there(stage, false).await;
                    stage.fleet.host.look_after().await;
                    there(stage, true).await;
                }
            },
            async |stage| {
                stage
                    .fleet
                    .administer(&["config", "live", "rollback", "--reason", "a test", "--wait", "60s"]);
            },
        )
        .await;
    stage
        .apns_fault("many tokens are gone", &["SkeinTokensInvalidUnusual"], &[], |faults| {
            faults.request.gone = 0.03;
        })
        .await;
}

/// Waits until the third sender is a member, or is none.
async fn there(stage: &Stage, wanted: bool) {
    let name = member(3, 'a');
    let as_wanted = async || {
        let members = stage.fleet.store.read().await.ok()?.members;
        (members.iter().any(|member| member.id.as_str() == name) == wanted).then_some(())
    };
    until("a sender to be there, or not", LIMIT, as_wanted).await.unwrap();
}
