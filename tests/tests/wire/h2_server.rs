//! The `h2` crate as an APNs that answers as each request wishes; the contract is in `tests/wire-servers/README.md`.

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

const GONE: &str = r#"{"reason":"Unregistered","timestamp":1700000000123}"#;
const SLOW: Duration = Duration::from_millis(20);
/// Initial windows, taken in turn.
const WINDOWS: [u32; 4] = [100, 65_535, 0x7fff_ffff, 1_000];
const REQUIRED: [&str; 5] = ["apns-topic", "apns-push-type", "apns-priority", "apns-expiration", "apns-id"];

struct Site {
    options: HashMap<String, String>,
    reads: AtomicU64,
    /// How often everybody was to be sent away.
    shutdowns: watch::Sender<u64>,
}

impl Site {
    fn number(&self, name: &str, otherwise: u64) -> u64 {
        self.options.get(name).map_or(otherwise, |text| text.parse().unwrap())
    }
}

fn tell(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Serves until it is killed.
pub async fn serve(arguments: &[String]) {
    let options = arguments.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let site = Arc::new(Site { options, reads: AtomicU64::new(0), shutdowns: watch::Sender::new(0) });
    let acceptor = TlsAcceptor::from(Arc::new(tls(&site)));
    let listener = TcpListener::bind(("127.0.0.1", site.number("--port", 0) as u16)).await.unwrap();
    tell("listening");
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (acceptor, site) = (acceptor.clone(), site.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(tcp, acceptor, site).await {
                tell(&format!("connection: {error}"));
            }
        });
    }
}

fn tls(site: &Site) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = match site.options.get("--ca") {
        None => builder.unwrap().with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.unwrap().with_client_cert_verifier(verifier.unwrap())
        }
    };
    let certificate = CertificateDer::from_pem_file(&site.options["--cert"]).unwrap();
    let key = PrivateKeyDer::from_pem_file(&site.options["--key"]).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn connection(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    site: Arc<Site>,
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = acceptor.accept(tcp).await?;
    let shown = stream.get_ref().1.peer_certificates().is_some();
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(site.number("--streams", 200) as u32)
        .initial_window_size(site.number("--stream-window", 65_535) as u32)
        .initial_connection_window_size(site.number("--connection-window", 65_535) as u32)
        .header_table_size(site.number("--header-table", 4_096) as u32)
        .max_frame_size(site.number("--frame", 16_384) as u32)
        .handshake::<_, Bytes>(stream)
        .await?;
    let mut pings = connection.ping_pong();
    let mut shutdowns = site.shutdowns.subscribe();
    let mut changes = 0;
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted?;
                if let Some(pings) = pings.take() {
                    tokio::spawn(ping_on(pings));
                }
                let every = site.number("--settings-every", 0);
                if every > 0 && site.reads.load(Ordering::Relaxed) / every > changes {
                    // Refused while the last change is not acknowledged: comes with a later request.
                    let window = WINDOWS[changes as usize % WINDOWS.len()];
                    if connection.set_initial_window_size(window).is_ok() {
                        changes += 1;
                        tell("settings taken");
                    }
                }
                let site = site.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(request, respond, &site, shown).await {
                        tell(&format!("request: {error}"));
                    }
                });
            }
            _ = shutdowns.changed() => connection.graceful_shutdown(),
        }
    }
}

/// One PING after the other, as long as they are answered.
async fn ping_on(mut pings: h2::PingPong) {
    while pings.ping(h2::Ping::opaque()).await.is_ok() {
        tell("pong");
        tokio::time::sleep(SLOW).await;
    }
}

fn is_of_a_provider(head: &http::request::Parts, shown: bool, site: &Site) -> bool {
    let bearer =
        head.headers.get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"bearer ey"));
    head.method == "POST"
        && head.uri.path().starts_with("/3/device/")
        && REQUIRED.iter().all(|name| head.headers.get_all(*name).iter().count() == 1)
        && bearer != shown
        && shown == site.options.contains_key("--ca")
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    site: &Site,
    shown: bool,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let (mut bytes, mut sum) = (0, 0);
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        bytes += chunk.len();
        sum += chunk.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        body.flow_control().release_capacity(chunk.len())?;
    }
    let id = &head.headers["apns-id"];
    let token = head.uri.path().trim_start_matches("/3/device/");
    tell(&format!("read {} {token} {bytes} {sum}", id.to_str().unwrap()));
    let read = site.reads.fetch_add(1, Ordering::Relaxed) + 1;
    let every = site.number("--shutdown-every", 0);
    if every > 0 && read.is_multiple_of(every) {
        site.shutdowns.send_modify(|count| *count += 1);
    }
    if !is_of_a_provider(&head, shown, site) {
        return whole(&mut respond, id, 403, r#"{"reason":"Forbidden"}"#.into());
    }
    let wish = head.headers.get("apns-collapse-id").map_or("", |value| value.to_str().unwrap());
    match wish {
        "" => whole(&mut respond, id, 200, Bytes::new()),
        "gone" => whole(&mut respond, id, 410, GONE.into()),
        "bad" => whole(&mut respond, id, 400, r#"{"reason":"BadDeviceToken"}"#.into()),
        "busy" => whole(&mut respond, id, 429, r#"{"reason":"TooManyRequests"}"#.into()),
        "html" => whole(&mut respond, id, 404, "<html><body>not here</body></html>".into()),
        "slow" => {
            tokio::time::sleep(SLOW).await;
            whole(&mut respond, id, 200, Bytes::new())
        }
        "hints" => {
            let hints = Response::builder()
                .status(StatusCode::EARLY_HINTS)
                .header("link", "</style.css>; rel=preload");
            respond.send_informational(hints.body(()).unwrap())?;
            whole(&mut respond, id, 200, Bytes::new())
        }
        "trailers" => {
            let mut stream = respond.send_response(response(id, 410), false)?;
            stream.send_data(GONE.into(), false)?;
            stream.send_trailers(HeaderMap::from_iter([(
                HeaderName::from_static("x-after"),
                HeaderValue::from_static("the body"),
            )]))
        }
        "split" => {
            let mut stream = respond.send_response(response(id, 410), false)?;
            for (n, byte) in GONE.bytes().enumerate() {
                stream.send_data(Bytes::copy_from_slice(&[byte]), n + 1 == GONE.len())?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        "headers" => {
            let mut response = response(id, 200);
            for n in 0..40 {
                let name = HeaderName::try_from(format!("x-field-{n}")).unwrap();
                let value = id.to_str().unwrap()[n % 8..].repeat(5);
                response.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
            }
            respond.send_response(response, true).map(drop)
        }
        "large" => whole(&mut respond, id, 400, vec![b' '; 20_000].into()),
        "huge" => whole(&mut respond, id, 400, vec![b' '; 100_000].into()),
        _ => whole(&mut respond, id, 500, r#"{"reason":"InternalServerError"}"#.into()),
    }
}

fn response(id: &HeaderValue, status: u16) -> Response<()> {
    Response::builder().status(status).header("apns-id", id).header("apns-unique-id", id).body(()).unwrap()
}

fn whole(
    respond: &mut SendResponse<Bytes>,
    id: &HeaderValue,
    status: u16,
    body: Bytes,
) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(response(id, status), body.is_empty())?;
    if body.is_empty() { Ok(()) } else { stream.send_data(body, true) }
}
