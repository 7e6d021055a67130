//! A gateway on loopback over the engine in memory, and a client of a few lines.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use serde_json::Value;
use skein_core::memory::{MemoryBroker, MemoryLedger, PausedClock};
use skein_core::seam::Submit;
use skein_core::{FingerprintKey, NotificationId, PoolName};
use skein_gateway::{Access, ApiKey, Gateway, MemoryStore, Options, PoolRule, ServeOptions, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A key that opens both pools.
pub const KEY: &str = "key-of-the-backend";
/// A key that opens `developer` only.
pub const NARROW_KEY: &str = "key-of-the-developers";

pub struct Door<S = MemoryBroker> {
    pub gateway: Gateway<S, MemoryLedger, PausedClock>,
    pub broker: S,
    pub ledger: MemoryLedger,
    pub registry: Registry,
    pub address: SocketAddr,
    pub shutdown: oneshot::Sender<()>,
    pub served: JoinHandle<std::io::Result<()>>,
}

pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// Status and word.
    pub fn problem(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or("none").to_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)))
            .map(|h| h.1)
    }

    pub fn fields(&self) -> Vec<String> {
        let json = self.json();
        let faults = json["faults"].as_array().expect("faults");
        faults.iter().map(|f| f["field"].as_str().expect("a field").to_owned()).collect()
    }

    pub fn ids(&self) -> Vec<String> {
        let json = self.json();
        let items = json["items"].as_array().expect("items");
        items.iter().map(|i| i["id"].as_str().expect("an id").to_owned()).collect()
    }
}

pub fn pool(name: &str) -> PoolName {
    PoolName::parse(name).expect("a name")
}

pub fn fingerprints() -> FingerprintKey {
    FingerprintKey::derive(b"test")
}

pub fn access() -> Access {
    let key = |name: &str, key: &str, pools| ApiKey {
        name: name.into(),
        hash: *blake3::hash(key.as_bytes()).as_bytes(),
        pools,
    };
    let rule = || PoolRule { topics: vec!["com.example.im".to_owned(), "com.example.im.voip".to_owned()] };
    Access {
        keys: vec![key("backend", KEY, None), key("developers", NARROW_KEY, Some(vec![pool("developer")]))],
        pools: BTreeMap::from([(pool("enterprise"), rule()), (pool("developer"), rule())]),
    }
}

pub async fn door() -> Door {
    door_with(Options::default()).await
}

pub async fn door_with(options: Options) -> Door {
    let (enterprise, developer) = (pool("enterprise"), pool("developer"));
    let broker = MemoryBroker::new([(&enterprise, 4), (&developer, 4)]);
    door_over(options, ServeOptions::default(), broker).await
}

pub async fn door_over<S: Submit>(options: Options, serving: ServeOptions, broker: S) -> Door<S> {
    let (ledger, registry) = (MemoryLedger::new(), Registry::new());
    let clock = PausedClock::starting_at(NotificationId::now().at());
    let keys = Arc::new(MemoryStore::new(Duration::from_secs(86_400), 1000));
    let gateway = Gateway::new(
        options,
        access(),
        broker.clone(),
        ledger.clone(),
        clock,
        fingerprints(),
        keys,
        &registry,
    )
    .expect("metrics");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (shutdown, stop) = oneshot::channel();
    let router = gateway.router();
    let served = tokio::spawn(async move {
        serve(listener, router, serving, async {
            let _ = stop.await;
        })
        .await
    });
    Door { gateway, broker, ledger, registry, address, shutdown, served }
}

impl<S> Door<S> {
    /// A request with the wide key.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Response {
        self.call_with(method, path, &[("authorization", &format!("Bearer {KEY}"))], body).await
    }

    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        call(self.address, method, path, headers, body.as_bytes()).await
    }

    pub async fn submit(&self, body: &str) -> Response {
        self.call("POST", "/v1/notifications?pool=enterprise", body).await
    }

    pub async fn submit_keyed(&self, key: &str, body: &str) -> Response {
        let authorization = format!("Bearer {KEY}");
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", key)];
        self.call_with("POST", "/v1/notifications?pool=enterprise", &headers, body).await
    }
}

impl Door {
    /// Notifications waiting in the broker.
    pub fn waiting(&self) -> usize {
        ["enterprise", "developer"].iter().map(|p| self.broker.pool_depth(&pool(p)).ready).sum()
    }
}

pub async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Response { status, head: head.to_owned(), body: body.to_owned() }
}

pub const ONE: &str = r#"{"token":"ab12","topic":"com.example.im","payload":{"aps":{"alert":"hi"}}}"#;

/// [`ONE`] with an id.
pub fn one_with(id: &str) -> String {
    format!(r#"{{"id":"{id}",{}"#, &ONE[1..])
}
