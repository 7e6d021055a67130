//! What every installation under test has: a folder with its keys, a simulator in this process, ports of its own.

use std::{net::SocketAddr, path::PathBuf};

use skein_apns_sim::{
    Environment, Faults, Handle, ProviderKey, Simulator, SimulatorConfig, TokenPolicy, realistic,
};
use skein_tests::ports::Port;
use tempfile::TempDir;

use crate::keys;

/// The one pool.
pub const POOL: &str = "im";
/// Its topic.
pub const TOPIC: &str = "com.example.im";

/// What APNs is given for an answer: longer than a busy machine stands still, since what misses it may be a copy, and where nothing goes
/// wrong there is none.
pub const ANSWER_LIMIT: &str = "10s";
/// The same where answers get lost, and are waited for in vain.
const LOST_ANSWER_LIMIT: &str = "2s";

/// A folder, a simulator, ports.
pub struct Site {
    /// Its APNs, in this process.
    pub simulator: Handle,
    answer_limit: &'static str,
    pages: Port,
    front: Port,
    folder: TempDir,
}

/// The bad day that every scenario has: Apple's usual refusals, lost answers, and connections that end every few thousand
/// requests, by GOAWAY and by reset.
pub fn bad_day(seed: u64) -> Faults {
    let mut faults = Faults { seed, ..realistic() };
    faults.request.silence = 0.0003;
    faults.connection.goaway_every = 2_000;
    faults.connection.reset_every = 5_000;
    faults
}

impl Site {
    /// A new folder with fresh keys, and a simulator with these faults.
    pub fn new(faults: Faults) -> Self {
        let answer_limit = if faults.request.silence > 0.0 { LOST_ANSWER_LIMIT } else { ANSWER_LIMIT };
        let folder = tempfile::Builder::new().prefix("skein-site-").tempdir().unwrap();
        let p8 = keys::provider_key();
        let key =
            ProviderKey::from_p8(keys::KEY_ID, keys::TEAM_ID, Some(Environment::Sandbox), p8.as_bytes())
                .unwrap();
        let simulator = Simulator::start(SimulatorConfig {
            tokens: TokenPolicy { keys: vec![key], ..TokenPolicy::default() },
            bundle_ids: vec![TOPIC.to_owned()],
            faults,
            ..SimulatorConfig::default()
        })
        .unwrap();
        let path = folder.path();
        std::fs::write(path.join("apns-ca.pem"), simulator.ca_pem()).unwrap();
        keys::private_file(path, "AuthKey.p8", &p8);
        keys::private_file(path, "fingerprint.key", &"5a".repeat(32));
        keys::private_file(path, "parking.key", &"a5".repeat(32));
        keys::private_file(path, "broker-password", "guest");
        keys::private_file(path, "gateway-keys", &keys::api_key_line());
        Self { simulator, answer_limit, pages: Port::claim(), front: Port::claim(), folder }
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A page of the role, such as `readyz`.
    pub fn page(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.pages.number())
    }

    /// The front door's address.
    pub fn front(&self) -> String {
        format!("http://127.0.0.1:{}", self.front.number())
    }

    /// Writes a configuration: `engine` says what is the engine's own, the rest is the same everywhere.
    pub fn write_config(&self, engine: &str, pages: &Port) -> PathBuf {
        let text = format!(
            r#"{engine}
[log]
format = "json"

[http]
listen = "127.0.0.1:{pages}"

[gateway]
listen = "127.0.0.1:{front}"
api_keys_file = "gateway-keys"
rate_max = 1000000
rate_burst = 1000000

[sender]
member = "sender-1"
shards = 2

{pool}"#,
            pages = pages.number(),
            front = self.front.number(),
            pool = self.pool(self.simulator.addr(), self.answer_limit),
        );
        self.write(&format!("skein-{}.toml", pages.number()), &text)
    }

    /// The pool as every configuration has it, its APNs reached at `apns`, where an answer may take so long.
    pub fn pool(&self, apns: SocketAddr, request_deadline: &str) -> String {
        format!(
            r#"[retry]
service = ["50ms", "200ms", "1s"]
throttle = ["50ms", "200ms", "1s"]

[pools.{POOL}]
environment = "sandbox"
topics = ["{TOPIC}"]
endpoint = "{apns}"
ca_file = "apns-ca.pem"
request_deadline = "{request_deadline}"
credential = {{ kind = "token", key_file = "AuthKey.p8", key_id = "{key_id}", team_id = "{team_id}" }}
"#,
            key_id = keys::KEY_ID,
            team_id = keys::TEAM_ID,
        )
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The configuration of the one role, or the one process, whose pages [`Site::page`] names.
    pub fn config(&self, engine: &str) -> PathBuf {
        self.write_config(engine, &self.pages)
    }
}
