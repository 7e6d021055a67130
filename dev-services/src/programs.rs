//! Where the services' programs are, on Debian and elsewhere.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

/// Names of the services whose programs are not installed: of `rabbitmq`, `zookeeper`, `postgresql`.
///
/// `SKEIN_TEST_WITHOUT=rabbitmq,…` makes installed ones count as missing.
#[must_use]
pub fn missing() -> Vec<&'static str> {
    ["rabbitmq", "zookeeper", "postgresql"].into_iter().filter(|name| !is_present(name)).collect()
}

/// Whether a test can use `name`: one of the services, `pika` (the Python producers' AMQP library), or what the wire
/// tests' servers are run or built with.
///
/// # Panics
/// When `name` is none of these.
#[must_use]
pub fn is_present(name: &str) -> bool {
    let without = std::env::var("SKEIN_TEST_WITHOUT").unwrap_or_default();
    !without.split(',').any(|hidden| hidden == name)
        && match name {
            "rabbitmq" => rabbitmq("rabbitmq-server").is_some() && on_path("epmd").is_some(),
            "zookeeper" => on_path("java").is_some() && zookeeper_class_path().is_some(),
            "postgresql" => postgresql("initdb").is_some(),
            "pika" => {
                let import =
                    Command::new("python3").args(["-c", "import pika"]).stderr(Stdio::null()).status();
                import.is_ok_and(|status| status.success())
            }
            "chromium" => chromium().is_some(),
            "nghttpd" | "go" | "node" | "mvn" | "javac" => on_path(name).is_some(),
            // What the files of deploy/ are held against.
            "prometheus" => on_path("prometheus").is_some() && on_path("promtool").is_some(),
            "systemd-analyze" | "docker-compose" | "helm" | "kubernetes-validate" | "hadolint" => {
                on_path(name).is_some()
            }
            _ => panic!("no service is called {name:?}"),
        }
}

/// A browser that speaks the DevTools protocol.
#[must_use]
pub fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)
}

/// A script of RabbitMQ's. Not Debian's wrapper in `/usr/sbin`, which insists on its own user.
pub(super) fn rabbitmq(script: &str) -> Option<PathBuf> {
    let folders =
        ["/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin"];
    first_file(folders.map(|folder| PathBuf::from(folder).join(script))).or_else(|| on_path(script))
}

/// A program of PostgreSQL's: the newest version under `/usr/lib/postgresql`, or the one on the `PATH`.
pub(super) fn postgresql(program: &str) -> Option<PathBuf> {
    let mut versions: Vec<u32> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    first_file(versions.iter().map(|v| PathBuf::from(format!("/usr/lib/postgresql/{v}/bin")).join(program)))
        .or_else(|| on_path(program))
}

/// The class path with ZooKeeper's server: `ZOOKEEPER_CLASSPATH`, Debian's jars, or an unpacked release.
pub(super) fn zookeeper_class_path() -> Option<String> {
    if let Ok(given) = std::env::var("ZOOKEEPER_CLASSPATH") {
        return Some(given);
    }
    let debian = "/usr/share/java/zookeeper.jar";
    if PathBuf::from(debian).is_file() {
        // Its own list of jars leaves out two that the connections over TLS need.
        let more = ["slf4j-simple", "netty-codec", "netty-resolver"];
        let more = more.map(|jar| format!(":/usr/share/java/{jar}.jar"));
        return Some(debian.to_owned() + &more.concat());
    }
    let homes = [
        std::env::var("ZOOKEEPER_HOME").unwrap_or_default(),
        "/opt/zookeeper".into(),
        "/opt/homebrew/opt/zookeeper/libexec".into(),
        "/usr/local/opt/zookeeper/libexec".into(),
    ];
    homes
        .into_iter()
        .find(|home| PathBuf::from(home).join("lib").is_dir())
        .map(|home| format!("{home}/lib/*"))
}

pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    first_file(std::env::split_paths(&path).map(|folder| folder.join(program)))
}

fn first_file(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}
