//! The chart, rendered by Helm in each of its ways, each object held against Kubernetes' own schema.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use serde_json::json;
use skein_test_site::keys::{private_file, provider_key};

use crate::{container::Container, deploy, pod::Pods, run};

/// Each way of rendering, and kinds of which there must be so many.
const WAYS: [(&str, &[(&str, usize)]); 3] = [
    (
        "sender.track=a",
        &[
            ("StatefulSet", 1),
            ("Deployment", 2),
            ("PodDisruptionBudget", 3),
            ("NetworkPolicy", 3),
            ("Job", 1),
        ],
    ),
    (
        "sender.autoscaling.enabled=true,prometheusOperator.enabled=true",
        &[("ScaledObject", 1), ("PodMonitor", 3), ("PrometheusRule", 1)],
    ),
    ("sender.track=b,sender.succeeds=a,sender.updateStrategy=OnDelete", &[("StatefulSet", 2)]),
];
/// Kinds of operators, which Kubernetes' own schema does not know.
const FOREIGN: [&str; 2] = ["keda.sh/", "monitoring.coreos.com/"];
/// The oldest version that the chart is for, and a later one.
const VERSIONS: [&str; 2] = ["1.28", "1.34"];

fn objects(way: &str) -> Vec<String> {
    let mut helm = Command::new("helm");
    helm.current_dir(deploy("helm")).args(["template", "im", "skein", "--namespace", "push", "--set", way]);
    let output = helm.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What it says beside them is on the other output.
    let text = String::from_utf8(output.stdout).unwrap();
    let is_object = |text: &&str| text.contains("\nkind: ");
    text.split("\n---\n").filter(is_object).map(str::to_owned).collect()
}

#[test]
fn helm_finds_no_fault() {
    skein_tests::need!("helm");
    run(&deploy("helm"), "helm", ["lint", "--strict", "skein"]);
    for (way, kinds) in WAYS {
        let objects = objects(way);
        for (kind, wanted) in kinds {
            let line = format!("\nkind: {kind}\n");
            let found = objects.iter().filter(|object| object.contains(&line)).count();
            assert_eq!(found, *wanted, "{way}: {kind}");
        }
    }
}

#[test]
fn a_successor_is_told_whose_place_it_takes_and_nobody_else_is() {
    skein_tests::need!("helm");
    let told = |way: &str| objects(way).concat().matches("--succeeds=sender-a-$(POD_INDEX)").count();
    assert_eq!(WAYS.map(|(way, _)| told(way)), [0, 0, 1]);
}

#[test]
fn a_senders_volume_is_what_the_values_say() {
    skein_tests::need!("helm");
    let claim = |way: &str| {
        let sets = objects(way).into_iter().find(|object| object.contains("\nkind: StatefulSet\n")).unwrap();
        sets.split_once("volumeClaimTemplates:").unwrap().1.to_owned()
    };
    let plain = claim("sender.track=a");
    assert!(plain.contains("[ReadWriteOncePod]") && !plain.contains("storageClassName"), "{plain}");
    let named = claim("sender.accessMode=ReadWriteOnce,sender.storageClassName=fast");
    assert!(named.contains("[ReadWriteOnce]") && named.contains("storageClassName: fast"), "{named}");
}

/// Which ports each role's policy opens to other pods.
fn open_ports(way: &str) -> Vec<(String, Vec<String>)> {
    let policies = objects(way).into_iter().filter(|object| object.contains("\nkind: NetworkPolicy\n"));
    let open = |object: String| {
        let after = |key: &'static str| object.lines().filter_map(move |line| line.trim().strip_prefix(key));
        let name = after("name: ").next().unwrap().to_owned();
        let ports: Vec<String> = after("ports: [{ port: ").map(|port| port.replace(" }]", "")).collect();
        assert_eq!(ports.len(), after("- from:").count(), "each for somebody: {object}");
        assert!(
            !object.contains("from: []") && !object.contains("from: null"),
            "nobody is not everybody: {object}"
        );
        (name, ports)
    };
    policies.map(open).collect()
}

/// P9: a monitor's page is nobody's but who is named; Prometheus reads every role.
#[test]
fn a_policy_opens_what_the_manual_says_to_pods() {
    skein_tests::need!("helm");
    let wanted = |monitor: &[&str]| {
        [("im-gateway", &["front", "pages"][..]), ("im-monitor", monitor), ("im-sender", &["pages"])]
            .map(|(name, ports)| (name.to_owned(), ports.iter().map(|port| (*port).to_owned()).collect()))
            .to_vec()
    };
    assert_eq!(open_ports("sender.track=a"), wanted(&["pages"]));
    let named = "networkPolicy.fleetFrom[0].podSelector.matchLabels.app=console";
    assert_eq!(open_ports(named), wanted(&["fleet", "pages"]));
}

#[test]
fn the_alarms_of_a_release_are_its_own() {
    skein_tests::need!("helm", "prometheus");
    let objects = objects("prometheusOperator.enabled=true,prometheusOperator.rabbitmq.enabled=true");
    let rule = objects.iter().find(|object| object.contains("\nkind: PrometheusRule\n")).unwrap();
    let (_, spec) = rule.split_once("\nspec:\n").unwrap();
    let rules: Vec<&str> = spec.lines().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    let rules = rules.join("\n");
    assert_eq!(rules.matches("- alert: ").count(), rules.matches("labels: { fleet: push/im, ").count());
    crate::alarms::hold_beside_another(&rules, "push/im");
    let monitors: Vec<&String> =
        objects.iter().filter(|object| object.contains("\nkind: PodMonitor\n")).collect();
    assert_eq!(monitors.len(), 4);
    for monitor in monitors {
        let (ports, named) = ("- port: ", "targetLabel: fleet, replacement: push/im }");
        assert_eq!(monitor.matches(ports).count(), monitor.matches(named).count(), "{monitor}");
    }
}

/// A number that nobody can tell is not 0, and what no sender more would help is not in it.
#[test]
fn the_fleet_grows_by_what_waits_and_can_be_sent() {
    skein_tests::need!("helm", "prometheus");
    let objects = objects("sender.autoscaling.enabled=true");
    let scaled = objects.iter().find(|object| object.contains("\nkind: ScaledObject\n")).unwrap();
    assert!(scaled.contains("ignoreNullValues: \"false\"") && !scaled.contains("fallback:"), "{scaled}");
    let (_, query) = scaled.split_once("query: |-\n").unwrap();
    let (query, _) = query.split_once("        ignoreNullValues").unwrap();
    let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let series = |name: &str, labels: &str, value: u32| {
        let series = format!("skein_{name}{{namespace=\"push\",{labels}}}");
        json!({"series": series, "values": format!("{value}x5")})
    };
    let oldest = |queue: &str, seconds: u32| {
        series("fleet_queue_oldest_seconds", &format!("queue=\"{queue}\",instance=\"m1\""), seconds)
    };
    let late = vec![
        oldest("im.q0", 40),
        oldest("im.q1", 900),
        oldest("mail.q0", 800),
        series("fleet_queue_paused", "queue=\"im.q0\",instance=\"m1\"", 0),
        series("fleet_queue_paused", "queue=\"im.q1\",instance=\"m1\"", 1),
        series("pool_paused", "pool=\"im\",instance=\"s1\"", 0),
        series("pool_paused", "pool=\"mail\",instance=\"s1\"", 1),
    ];
    let told = |input: Vec<serde_json::Value>, found: &[u32]| {
        let found: Vec<_> = found.iter().map(|value| json!({"labels": "{}", "value": value})).collect();
        let asked = json!({"expr": query, "eval_time": "1m", "exp_samples": found});
        json!({"interval": "1m", "input_series": input, "promql_expr_test": [asked]})
    };
    let only_paused = [&late[1], &late[4]].map(Clone::clone).to_vec();
    let tests = json!({"tests": [told(late, &[40]), told(only_paused, &[0]), told(Vec::new(), &[])]});
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("scaling.yml"), tests.to_string()).unwrap();
    run(folder.path(), "promtool", ["test", "rules", "scaling.yml"]);
}

#[test]
fn kubernetes_takes_every_object() {
    skein_tests::need!("helm", "kubernetes-validate");
    let folder = tempfile::tempdir().unwrap();
    for (way, _) in WAYS {
        let known: Vec<String> = objects(way)
            .into_iter()
            .filter(|object| !FOREIGN.iter().any(|group| object.contains(&format!("apiVersion: {group}"))))
            .collect();
        std::fs::write(folder.path().join("objects.yaml"), known.join("\n---\n")).unwrap();
        for version in VERSIONS {
            run(folder.path(), "kubernetes-validate", ["--strict", "-k", version, "objects.yaml"]);
        }
    }
}

/// What YAML says, as JSON: by the parser that `kubernetes-validate` has, too.
const TO_JSON: &str =
    "import json, sys, yaml; json.dump([o for o in yaml.safe_load_all(open(sys.argv[1])) if o], sys.stdout)";
/// What every process has.
const EVERYBODY: [&str; 1] = ["ca.pem"];

/// The Secrets that `values.yaml` names, as folders, but for the users' passwords.
fn secrets(folder: &Path) {
    let made = rcgen::generate_simple_self_signed(["rabbitmq".to_owned()]).unwrap();
    let key = "5a".repeat(32);
    for (secret, name, text) in [
        ("skein-admin", "rabbitmq.password", "a"),
        ("skein-admin", "postgresql.password", "b"),
        ("skein-admin", "zookeeper.password", "c"),
        ("skein-ledger-keys", "fingerprint.key", &key),
        ("skein-ledger-keys", "parking.key", &key),
        ("skein-gateway-keys", "gateway-keys", &format!("im-backend = {key}")),
        ("skein-authority", "ca.pem", &made.cert.pem()),
        ("skein-credentials", "apns.p8", &provider_key()),
    ] {
        fs::create_dir_all(folder.join(secret)).unwrap();
        private_file(&folder.join(secret), name, text);
    }
    fs::create_dir_all(folder.join("skein-users")).unwrap();
}

/// P9: a successor first, where most is there at once.
#[test]
fn each_pod_has_its_own_secrets_and_its_configuration_needs_no_other() {
    skein_tests::need!("helm", "kubernetes-validate");
    let folder = tempfile::tempdir().unwrap();
    let (yaml, secrets_at) = (folder.path().join("objects.yaml"), folder.path().join("secrets"));
    fs::write(&yaml, objects("sender.track=b,sender.succeeds=a").join("\n---\n")).unwrap();
    let output = Command::new("python3").args(["-c", TO_JSON]).arg(&yaml).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let objects = serde_json::from_slice(&output.stdout).unwrap();
    secrets(&secrets_at);
    let pods = Pods { objects, secrets: secrets_at.clone(), roots: folder.path().join("roots") };

    // The passwords of all users that the Job makes, made as the manual says.
    let job = pods.container("Job", "im-cluster-init");
    let users = secrets_at.join("skein-users").display().to_string();
    let words = job.command().iter().map(|word| match word.strip_prefix("--credentials-folder=") {
        Some(_) => format!("--credentials-folder={users}"),
        None => word.clone(),
    });
    let words: Vec<String> = words.filter(|word| !word.starts_with("--config=")).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[..2], ["cluster", "init"]);
    assert_eq!(words.iter().filter(|word| word.starts_with("--sender=sender-")).count(), 6);
    words[1] = "passwords";
    Container::new(folder.path().join("roots/nobody"), BTreeMap::new(), Vec::new()).run(&words);

    let own = |names: &[&str]| -> BTreeSet<String> {
        names.iter().chain(&EVERYBODY).map(|name| (*name).to_owned()).collect()
    };
    let sender =
        own(&["broker-password", "ledger-password", "zookeeper-password", "fingerprint.key", "apns.p8"]);
    let monitor = own(&["broker-password", "management-password", "zookeeper-password"]);
    let gateway = own(&[
        "broker-password",
        "zookeeper-password",
        "ledger-password",
        "fingerprint.key",
        "parking.key",
        "gateway-keys",
    ]);
    for (kind, name, role, wanted) in [
        ("StatefulSet", "im-sender-a", "sender", &sender),
        ("StatefulSet", "im-sender-b", "sender", &sender),
        ("Deployment", "im-monitor", "monitor", &monitor),
        ("Deployment", "im-gateway", "gateway", &gateway),
    ] {
        let container = pods.container(kind, name);
        assert_eq!(container.secrets(), *wanted, "{name}");
        container.run(&["config", "check", "--role", role, "--config", "/etc/skein/skein.toml"]);
        if role == "sender" {
            assert_eq!(
                container.environment()["SKEIN_SENDER__SHARDS"],
                "1",
                "as many threads as cores are asked for"
            );
            let [user, member] = ["SKEIN_BROKER__USERNAME", "SKEIN_SENDER__MEMBER"]
                .map(|name| container.environment()[name].as_str());
            assert_eq!(user, format!("skein-sender-{member}"));
            // The number of the pod has picked its own of all the passwords.
            let its = container.at("/etc/skein/login/broker-password");
            let all = Path::new(&users).join(format!("rabbitmq-{user}.password"));
            assert_eq!(fs::read(its).unwrap(), fs::read(all).unwrap());
        }
    }
    let job = pods.container("Job", "im-cluster-init");
    let all = job.secrets();
    let admins = ["rabbitmq.password", "postgresql.password", "zookeeper.password"];
    assert!(own(&admins).iter().all(|name| all.contains(name)), "{all:?}");
    assert_eq!(all.len(), admins.len() + EVERYBODY.len() + fs::read_dir(&users).unwrap().count());
    job.run(&["config", "check", "--role", "operator", "--config", "/etc/skein/skein.toml"]);
}
