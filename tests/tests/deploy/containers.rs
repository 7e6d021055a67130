//! The container file and the Compose cluster, as far as they can be held against their tools without an engine.

use std::{path::Path, process::Command};

use serde_json::Value;
use skein_tests::process::skein_binary;

use crate::{copy, deploy, run};

/// What the image's base brings, besides the kernel's loader.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libgcc_s.so.1", "libm.so.6", "ld-linux"];

#[test]
fn the_container_file_has_no_known_fault() {
    skein_tests::need!("hadolint");
    run(&deploy("container"), "hadolint", ["--failure-threshold=info", "Containerfile"]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_binary_needs_no_library_that_the_image_lacks() {
    let binary = skein_binary().unwrap();
    let told = run(Path::new("/"), "ldd", [binary]);
    for line in told.lines().map(str::trim).filter(|line| !line.starts_with("linux-vdso")) {
        assert!(LIBRARIES.iter().any(|library| line.contains(library)), "the image has not {line}");
    }
}

/// A copy of what Compose reads, prepared as `./prepare` does it.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["compose", "services", "prometheus", "grafana"] {
        copy(&deploy(part), &folder.path().join(part));
    }
    let mut prepare = Command::new("./prepare");
    prepare.current_dir(folder.path().join("compose")).env("SKEIN", skein_binary().unwrap());
    let output = prepare.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

#[test]
fn compose_takes_the_cluster_and_its_secrets_are_its_owners_alone() {
    skein_tests::need!("docker-compose");
    let folder = prepared();
    let compose = folder.path().join("compose");
    let told = run(&compose, "docker-compose", ["config", "--format", "json"]);
    let cluster: Value = serde_json::from_str(&told[told.find('{').unwrap()..]).unwrap();
    let services = cluster["services"].as_object().unwrap();
    let count = |prefix: &str| services.keys().filter(|name| name.starts_with(prefix)).count();
    let counted = ["sender-", "monitor-", "rabbitmq-", "zookeeper-", "postgresql-"].map(count);
    assert_eq!(counted, [3, 2, 3, 3, 2]);
    for (name, service) in services.iter().filter(|(_, service)| service["image"] == "skein") {
        assert!(service["read_only"] == true && service["user"].is_string(), "{name} is shut");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
    }
    for (name, config) in cluster["configs"].as_object().unwrap() {
        let file = config["file"].as_str().unwrap();
        assert!(Path::new(file).is_file(), "{name}: {file} is not there");
    }
    for service in services.values() {
        for volume in service["volumes"].as_array().into_iter().flatten().filter(|v| v["type"] == "bind") {
            assert!(Path::new(volume["source"].as_str().unwrap()).exists(), "{volume}");
        }
    }
    for folder in ["secrets", "secrets/users"] {
        for entry in std::fs::read_dir(compose.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&entry.metadata().unwrap().permissions()) & 0o777;
            assert_eq!(mode & 0o077, 0, "{:?}", entry.file_name());
        }
    }
    // Nobody begins before what it needs is made; each secret that is named is there.
    for (name, service) in services.iter().filter(|(_, service)| service["image"] == "skein") {
        let made = service["depends_on"]["cluster-init"]["condition"] == "service_completed_successfully";
        assert_eq!(made, !matches!(name.as_str(), "cluster-init" | "apns-simulator"), "{name}");
    }
    for (name, secret) in cluster["secrets"].as_object().unwrap() {
        assert!(Path::new(secret["file"].as_str().unwrap()).is_file(), "{name}");
    }
}
