//! What both clients share: arguments, the connection, the notifications, the last line of output.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderName, HeaderValue, Method, Request, Version, header};
use rustix::time::{ClockId, clock_gettime};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Any error.
pub type Failure = Box<dyn std::error::Error>;

/// Device tokens in a run.
const TOKENS: u64 = 100_000;
static APNS_TOPIC: HeaderName = HeaderName::from_static("apns-topic");
static APNS_PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
static APNS_PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
static APNS_EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
static APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const TICK: Duration = Duration::from_millis(1);

/// What `skein bench apns` tells each client.
#[derive(Debug, Clone, Parser)]
pub struct Load {
    /// host:port of the server
    #[arg(long)]
    pub target: String,
    /// The server's root certificate, PEM
    #[arg(long)]
    pub ca: PathBuf,
    /// Bytes of each payload
    #[arg(long, default_value_t = 233)]
    pub payload_bytes: usize,
    /// Requests open at once
    #[arg(long, default_value_t = 1000)]
    pub in_flight: u64,
    /// Only one is made
    #[arg(long, default_value_t = 1)]
    pub connections: u64,
    /// So many a second, evenly; 0 is as fast as it goes
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// How many
    #[arg(long, default_value_t = 500_000)]
    pub notifications: u64,
    /// What tokens and payloads are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Not written
    #[arg(long)]
    pub latencies: Option<PathBuf>,
}

/// Reads the arguments; answers `--version` with the crate that is measured, and gives nothing.
pub fn arguments(crate_name: &str) -> Option<Load> {
    if std::env::args().any(|argument| argument == "--version") {
        println!("{}", version_of(crate_name));
        return None;
    }
    Some(Load::parse())
}

/// Runs the client on a runtime of this thread, as a task of its own: waking the future of `block_on` costs a system call.
pub fn run_local(client: impl Future<Output = Result<(), Failure>> + 'static) -> Result<(), Failure> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async { tokio::task::spawn_local(client).await? })
}

/// The version in the lock file.
fn version_of(crate_name: &str) -> String {
    let lock = include_str!("../Cargo.lock");
    let head = format!("name = \"{crate_name}\"\nversion = \"");
    let version = lock.split_once(&head).and_then(|(_, rest)| rest.split_once('"'));
    format!("{crate_name} {}", version.map_or("?", |(version, _)| version))
}

/// TLS with HTTP/2 to the server.
pub async fn connect(load: &Load) -> Result<TlsStream<TcpStream>, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&load.ca)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(&load.target).await?;
    tcp.set_nodelay(true)?;
    let (host, _) = load.target.rsplit_once(':').ok_or("the server is not host:port")?;
    let name = ServerName::try_from(host.to_owned())?;
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
}

/// Gives out the notifications: their numbers, when they are due, what is on the wire.
pub struct Notifications {
    load: Load,
    authorization: HeaderValue,
    host: String,
    next: AtomicU64,
    accepted: AtomicU64,
    began: Instant,
    began_ns: u64,
    cpu_began: Duration,
}

impl Notifications {
    pub fn new(load: &Load) -> Result<Self, Failure> {
        let issued = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"ABCDE12345"}"#);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"TEAM123456","iat":{issued}}}"#));
        let token = format!("bearer {head}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
        Ok(Self {
            load: load.clone(),
            authorization: HeaderValue::from_str(&token)?,
            host: load.target.clone(),
            next: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            began: Instant::now(),
            began_ns: nanoseconds(ClockId::Monotonic),
            cpu_began: Duration::from_nanos(nanoseconds(ClockId::ProcessCPUTime)),
        })
    }

    /// The next number, when it is due. `None` when all are given out.
    pub async fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Relaxed);
        if number >= self.load.notifications {
            return None;
        }
        if self.load.rate > 0 {
            let due = Duration::from_secs_f64(number as f64 / self.load.rate as f64);
            // On whole ticks, so that one waking carries all that is due by then.
            let ticks = due.as_nanos().div_ceil(TICK.as_nanos()) as u32;
            tokio::time::sleep_until((self.began + TICK * ticks).into()).await;
        }
        Some(number)
    }

    /// A request with a token and an id of its own.
    pub fn request<B>(&self, number: u64, body: B) -> Request<B> {
        let token = mix(self.load.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % TOKENS;
        let mut uri = Vec::with_capacity(128);
        uri.extend_from_slice(b"https://");
        uri.extend_from_slice(self.host.as_bytes());
        uri.extend_from_slice(b"/3/device/");
        for part in 0..4 {
            hex(mix(mix(self.load.seed ^ token << 2) ^ part), 16, &mut uri);
        }
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = http::Uri::from_maybe_shared(Bytes::from(uri)).expect("a uri");
        let headers = request.headers_mut();
        headers.reserve(8);
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        headers.insert(&APNS_TOPIC, HeaderValue::from_static("com.example.im"));
        headers.insert(&APNS_PUSH_TYPE, HeaderValue::from_static("alert"));
        headers.insert(&APNS_PRIORITY, HeaderValue::from_static("10"));
        headers.insert(&APNS_EXPIRATION, HeaderValue::from_static("1999999999"));
        let mut id = HeaderValue::from_maybe_shared(self.id(number)).expect("an id");
        // Kept out of the dynamic table, which it would only churn.
        id.set_sensitive(true);
        headers.insert(&APNS_ID, id);
        request
    }

    /// A UUIDv7.
    fn id(&self, number: u64) -> Bytes {
        let millis = self.began_ns / 1_000_000 + 1_700_000_000_000;
        let random = mix(number ^ self.began_ns);
        let mut id = Vec::with_capacity(36);
        hex(millis >> 16, 8, &mut id);
        id.push(b'-');
        hex(millis & 0xffff, 4, &mut id);
        id.push(b'-');
        hex(0x7000 | random & 0xfff, 4, &mut id);
        id.push(b'-');
        hex(0x8000 | random >> 12 & 0x3fff, 4, &mut id);
        id.push(b'-');
        hex(number << 24 | random >> 40, 12, &mut id);
        id.into()
    }

    /// A payload of its own.
    pub fn payload(&self, number: u64) -> Bytes {
        use std::io::Write as _;
        let mut text = Vec::with_capacity(self.load.payload_bytes.max(160));
        text.extend_from_slice(br#"{"aps":{"alert":{"title":"Anna Example","body":""#);
        hex(mix(self.load.seed.wrapping_add(number)), 16, &mut text);
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let filled =
            self.load.payload_bytes.saturating_sub(digits + r#""},"sound":"default"},"skein_seq":}"#.len());
        text.resize(filled.max(text.len()), b'x');
        let _ = write!(text, r#""}},"sound":"default"}},"skein_seq":{number}}}"#);
        text.into()
    }

    /// An answer came.
    pub fn answered(&self, status: http::StatusCode) {
        if status == http::StatusCode::OK {
            self.accepted.fetch_add(1, Relaxed);
        }
    }

    /// The last line of output.
    pub fn print(&self, client: &str) {
        let cpu = Duration::from_nanos(nanoseconds(ClockId::ProcessCPUTime)) - self.cpu_began;
        let ended_ns = nanoseconds(ClockId::Monotonic);
        let notifications = self.load.notifications;
        println!(
            "{}",
            serde_json::json!({
                "client": client,
                "version": version_of(client),
                "notifications": notifications,
                "answered": notifications,
                "accepted": self.accepted.load(Relaxed),
                "measured": notifications,
                "cpu_us": (cpu.as_secs_f64() * 1e8 / notifications as f64).round() / 100.0,
                "per_second": (notifications as f64 / self.began.elapsed().as_secs_f64()) as u64,
                "began_ns": self.began_ns,
                "ended_ns": ended_ns,
                "connections": 1,
                "rss_mb": null,
            })
        );
    }
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn hex(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let at = out.len();
    out.resize(at + digits, b'0');
    for digit in out[at..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// The finaliser of MurmurHash3.
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
