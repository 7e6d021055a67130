//! What can be wrong at RabbitMQ.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use skein_doctor::View;
use skein_provision::Service;
use skein_tests::ports::Port;
use skein_tests::until;

use crate::site::Site;

const LIMIT: Duration = Duration::from_secs(60);
const QUEUE: &str = "queues/{vhost}/skein.im.q1";
const HOLDS: &str = "rabbitmq.holds";
const ALL: &str = r#"{"configure":".*","write":".*","read":".*"}"#;

pub async fn plant(site: &mut Site) {
    queues(site).await;
    bindings_and_policies(site).await;
    users(site).await;
    ways(site).await;
}

async fn queues(site: &mut Site) {
    site.manage("DELETE", QUEUE, None).await;
    site.named(HOLDS, "missing (queues to declare: skein.im.q1").await;
    site.init().await;

    site.manage("DELETE", QUEUE, None).await;
    site.manage("PUT", QUEUE, Some(r#"{"durable":true,"arguments":{"x-queue-type":"classic"}}"#)).await;
    site.named(HOLDS, "queue skein.im.q1: is no quorum queue").await;

    site.manage("DELETE", QUEUE, None).await;
    let arguments = r#"{"x-queue-type":"quorum","x-single-active-consumer":true,"x-overflow":"drop-head"}"#;
    site.manage("PUT", QUEUE, Some(&format!(r#"{{"durable":true,"arguments":{arguments}}}"#))).await;
    site.named(HOLDS, "queue skein.im.q1: drops what does not fit").await;
    site.manage("DELETE", QUEUE, None).await;
    site.init().await;
}

async fn bindings_and_policies(site: &mut Site) {
    let bindings =
        site.manage("GET", "bindings/{vhost}/e/skein.im/q/skein.im.q1", None).await.json().unwrap();
    let key = bindings[0]["properties_key"].as_str().unwrap().to_owned();
    site.manage("DELETE", &format!("bindings/{{vhost}}/e/skein.im/q/skein.im.q1/{key}"), None).await;
    site.named(HOLDS, "1 of 1024 slots to bind").await;
    site.init().await;

    site.manage("DELETE", "bindings/{vhost}/e/skein.facts/q/skein.facts/~", None).await;
    site.named(HOLDS, "missing (binding of skein.facts)").await;
    site.init().await;

    site.manage(
        "POST",
        "bindings/{vhost}/e/skein.im/q/skein.im.q0",
        Some(r#"{"routing_key":"1023","arguments":{}}"#),
    )
    .await;
    site.named(HOLDS, "bindings too many: a slot that is bound twice is sent twice").await;
    site.manage("DELETE", "bindings/{vhost}/e/skein.im/q/skein.im.q0/1023", None).await;

    site.manage("DELETE", "policies/{vhost}/skein-leaders", None).await;
    site.named(HOLDS, "policy skein-leaders: missing").await;
    site.init().await;

    let policy =
        r#"{"pattern":"^skein","definition":{"message-ttl":60000},"apply-to":"queues","priority":9}"#;
    site.manage("PUT", "policies/{vhost}/zz", Some(policy)).await;
    effective(site, true).await;
    site.named(HOLDS, "a policy sets message-ttl, which loses notifications").await;
    site.manage("DELETE", "policies/{vhost}/zz", None).await;
    effective(site, false).await;
}

/// The broker gives its queues a policy some time after it was told.
async fn effective(site: &Site, wanted: bool) {
    let all = async || {
        let queues = site.manage("GET", "queues/{vhost}", None).await.json().unwrap();
        let has = |queue: &serde_json::Value| !queue["effective_policy_definition"]["message-ttl"].is_null();
        queues.as_array().unwrap().iter().all(|queue| has(queue) == wanted).then_some(())
    };
    until("the policy", LIMIT, all).await.unwrap();
}

async fn users(site: &mut Site) {
    site.manage("DELETE", "permissions/{vhost}/{prefix}-sender-s0", None).await;
    site.named(HOLDS, "sender-s0's rights in virtual host").await;
    site.init().await;

    site.manage("PUT", "permissions/{vhost}/{prefix}-sender-s1", Some(ALL)).await;
    site.named(HOLDS, "sender-s1's rights in virtual host").await;
    site.init().await;

    site.manage("PUT", "permissions/%2f/{prefix}-gateway", Some(ALL)).await;
    site.named(HOLDS, "gateway's right to virtual host /: too much").await;
    site.init().await;

    site.manage("PUT", "users/{prefix}-producer-chat", Some(r#"{"password":"another","tags":""}"#)).await;
    site.named(HOLDS, "producer-chat: not as it must be (the password of the folder)").await;
    site.init().await;

    site.manage("DELETE", "users/{prefix}-monitor-api", None).await;
    site.named(HOLDS, "monitor-api: missing").await;
    site.init().await;

    let file = site.password_file(Service::RabbitMq, "sender-s0");
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    site.named("passwords", &format!("{}", file.display())).await;
    mode(0o600);
}

/// What the configuration says of the way to it.
async fn ways(site: &mut Site) {
    let mut deployment = site.deployment();
    for broker in &mut deployment.broker.brokers {
        *broker = broker.with_login("guest", "not the password");
    }
    site.named_in(&deployment, "rabbitmq.nodes", "RabbitMQ refuses").await;

    let nobody = Port::claim();
    let mut deployment = site.deployment();
    let mut administrator = site.administrator();
    administrator.broker = site.broker_admin(nobody.number());
    deployment.view = View::Administrator(Box::new(administrator));
    site.named_in(&deployment, "rabbitmq.management", "RabbitMQ is away").await;

    let mut deployment = site.deployment();
    deployment
        .broker
        .brokers
        .push(format!("amqp://guest:guest@127.0.0.1:{}/%2f", nobody.number()).parse().unwrap());
    site.named_in(&deployment, "rabbitmq.nodes", "does not answer").await;

    let mut deployment = site.deployment();
    deployment.cluster.events_vhost = site.cluster.vhost.replace("doctor", "nowhere");
    site.named_in(&deployment, HOLDS, "exchange amq.rabbitmq.event").await;
}
