//! What a process takes up while it runs: its file at SIGHUP where there is no fleet, the fleet's live settings at the front door.

use serde_json::{Value, json};
use skein_apns_sim::Faults;
use skein_backends::zookeeper::{Login, Rights, ZooKeeperOptions, ZooKeeperRole, ZooKeeperTree, digest_of};
use skein_tests::{
    http, need,
    process::skein,
    services::{PostgreSql, RabbitMq, ZooKeeper},
    until,
};

use crate::{
    embedded::{self, ENGINE},
    fleet::{END_LIMIT, FLOW_LIMIT, Fleet, START_LIMIT, Services},
    keys::{API_KEY, private_file},
    load::{Random, payload},
    site::{POOL, Site, TOPIC},
};

/// With these, whoever submits twice what one request may hold is too fast, however slowly the test runs.
const SLOW: [(&str, &str); 2] = [("rate_max", "1"), ("rate_burst", "1000")];
const ITEMS_MAX: usize = 1_000;
/// Users of ZooKeeper, with their passwords.
const ADMIN: (&str, &str) = ("admin", "of this test");
const GATEWAY: (&str, &str) = ("skein-gateway", "the front door's");
const OPERATOR: (&str, &str) = ("skein-operator", "an operator's");

/// A changed file is in force after SIGHUP; one with a fault changes nothing, and is said.
#[tokio::test]
async fn a_file_is_taken_up_at_sighup() {
    let site = Site::new(Faults::default());
    let mut process = embedded::start(&site).await;
    assert!(!is_slow(&site).await);
    let file = site.config(ENGINE);
    let before = std::fs::read_to_string(&file).unwrap();
    let slow = SLOW.iter().fold(before.clone(), |text, (key, value)| {
        text.replace(&format!("{key} = 1000000\n"), &format!("{key} = {value}\n"))
    });
    std::fs::write(&file, &slow).unwrap();
    process.hang_up();
    process.wait_for_line("the configuration is read again", END_LIMIT).await.unwrap();
    assert!(is_slow(&site).await);

    std::fs::write(&file, before.replace("rate_max = 1000000\n", "rate_max = \"fast\"\n")).unwrap();
    process.hang_up();
    process.wait_for_line("the configuration has faults: all stays as it is", END_LIMIT).await.unwrap();
    assert!(is_slow(&site).await, "all stays as it is");

    std::fs::write(&file, &before).unwrap();
    process.hang_up();
    let back = async || (!is_slow(&site).await).then_some(());
    until("the first configuration to be in force", FLOW_LIMIT, back).await.unwrap();
    process.terminate();
    assert_eq!(process.wait_exit(END_LIMIT).await.unwrap().code(), Some(0), "{}", process.log());
}

/// A gateway that may read the fleet's live settings, and no more than `skein cluster init` lets it, goes by them and says so; as long
/// as none does, a change of what gateways go by says that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_goes_by_the_live_settings() {
    need!("rabbitmq", "postgresql", "zookeeper");
    let (broker, zookeeper) = (RabbitMq::shared().await.unwrap(), ZooKeeper::shared().await.unwrap());
    let services = Services::direct(broker, PostgreSql::shared().await.unwrap());
    // Its sender has made what the gateway publishes to.
    let mut fleet = Fleet::start("live_gateway", services, Faults::default()).await;
    let chroot = zookeeper.chroot("live_gateway");
    let (server, chroot) = chroot.split_once('/').unwrap();
    make_tree(ZooKeeperOptions::new(vec![server.to_owned()], format!("/{chroot}"))).await;
    for (user, password) in [GATEWAY, OPERATOR] {
        private_file(&fleet.site.path(""), user, password);
    }
    let coordinator = format!(
        "\n[coordinator]\nservers = [\"{server}\"]\nchroot = \"/{chroot}\"\nusername = \"{0}\"\npassword_file = \"{0}\"\nsession_timeout = \"30s\"\n",
        GATEWAY.0
    );
    fleet.engine.push_str(&coordinator);
    let config = fleet.site.config(&fleet.engine).display().to_string();
    let password = format!("coordinator.password_file={}", fleet.site.path(OPERATOR.0).display());
    let username = format!("coordinator.username={}", OPERATOR.0);
    let live = async |arguments: &[&str]| {
        let all = ["--json", "--config", &config, "--set", &username, "--set", &password, "config", "live"];
        let mut child = skein(all.into_iter().chain(arguments.iter().copied())).unwrap().start().unwrap();
        let status = child.wait_exit(FLOW_LIMIT).await.unwrap();
        let last = child.output().lines().last().map(serde_json::from_str::<Value>);
        let said = last.and_then(Result::ok).unwrap_or_else(|| panic!("{arguments:?}: {}", child.log()));
        (status.code().unwrap(), said)
    };
    for words in [&["set", "gateway.rate_max=1000000", "--reason", "nobody is there"][..], &["show"]] {
        let (code, said) = live(words).await;
        let troubles = said["troubles"].to_string();
        assert!(code == 1 && troubles.contains("no gateway says that it follows"), "{code}: {said}");
    }

    let (mut gateway, pages) = fleet.start_role(&["run", "gateway"]);
    let ready = format!("http://127.0.0.1:{}/readyz", pages.number());
    gateway.wait_ready(&ready, START_LIMIT).await.unwrap();
    let heard = async || (live(&["show"]).await.0 == 0).then_some(());
    until("the gateway's word", FLOW_LIMIT, heard).await.unwrap();
    assert!(!is_slow(&fleet.site).await);
    let slow = SLOW.map(|(key, value)| format!("gateway.{key}={value}"));
    let (code, said) = live(&["set", &slow[0], &slow[1], "--reason", "slowly", "--wait", "60s"]).await;
    assert_eq!((code, &said["troubles"]), (0, &json!([])), "{said}");
    assert_eq!(said["processes"][0]["role"], "gateway", "{said}");
    assert!(is_slow(&fleet.site).await);
    let [rate, burst] = SLOW.map(|(key, _)| format!("gateway.{key}"));
    let words = ["set", "--unset", &rate, "--unset", &burst, "--reason", "on", "--wait", "60s"];
    let (code, said) = live(&words).await;
    assert_eq!(code, 0, "{said}");
    assert!(!is_slow(&fleet.site).await);
    gateway.terminate();
    assert_eq!(gateway.wait_exit(END_LIMIT).await.unwrap().code(), Some(0), "{}", gateway.log());
    fleet.end_sender().await;
}

/// The tree as `skein cluster init` makes it, with everybody's rights.
async fn make_tree(options: ZooKeeperOptions) {
    let roles = [(ZooKeeperRole::Gateway, GATEWAY), (ZooKeeperRole::Operator, OPERATOR)];
    let digests = roles.map(|(role, (user, password))| (role, digest_of(user, password)));
    let rights = Rights::new(digest_of(ADMIN.0, ADMIN.1), digests.into());
    let options = ZooKeeperOptions { login: Some(Login::new(ADMIN.0, ADMIN.1)), ..options };
    let connect = || ZooKeeperTree::connect(options.clone(), rights.clone(), &[]);
    let tree = connect();
    for node in tree.look().await.unwrap() {
        tree.mend(&node).await.unwrap();
    }
    assert_eq!(connect().look().await.unwrap(), []);
}

/// Submits as much as two requests hold: whether the front door finds that too much.
async fn is_slow(site: &Site) -> bool {
    let mut random = Random(7);
    let content: Value = serde_json::from_str(&payload("hello", 1)).unwrap();
    let item = || json!({"token": random.token(), "topic": TOPIC, "payload": content});
    let body = Value::Array(std::iter::repeat_with(item).take(ITEMS_MAX).collect()).to_string();
    let url = format!("{}/v1/notifications?pool={POOL}", site.front());
    let bearer = format!("Bearer {API_KEY}");
    let mut refused = false;
    for _ in 0..2 {
        let answer =
            http::request_with("POST", &url, &[("Authorization", &bearer)], Some(&body)).await.unwrap();
        assert!([202, 429].contains(&answer.status), "{answer:?}");
        refused |= answer.status == 429;
    }
    refused
}
