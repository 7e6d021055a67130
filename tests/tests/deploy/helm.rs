//! The chart, rendered by Helm in each of its ways, each object held against Kubernetes' own schema.

use crate::{deploy, run};

/// Each way of rendering, and kinds of which there must be so many.
const WAYS: [(&str, &[(&str, usize)]); 3] = [
    (
        "sender.track=a",
        &[("StatefulSet", 1), ("Deployment", 2), ("PodDisruptionBudget", 3), ("NetworkPolicy", 3)],
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
    let text = run(&deploy("helm"), "helm", ["template", "im", "skein", "--namespace", "push", "--set", way]);
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
