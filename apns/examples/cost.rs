//! Measures what one notification costs the client's thread, against a server on another thread of this process that
//! accepts everything: `cargo run --release -p skein-apns --example cost -- 500000`.

#![allow(clippy::print_stdout, reason = "its figures are its output")]

use bytes::Bytes;
use rcgen::KeyPair;
use rustix::time::{ClockId, clock_gettime};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use skein_apns::frame::{FrameHeader, HEADER_BYTES, PREFACE, flag, kind, setting};
use skein_apns::hpack::Decoder;
use skein_apns::{
    Answer, Client, ClientConfig, Credential, Endpoint, Environment, Expiration, Priority, PushType, Request,
    Roots, TokenKey,
};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

const IN_FLIGHT: usize = 1_000;
const PAYLOAD_BYTES: usize = 233;

fn listen() -> (TcpListener, Arc<ServerConfig>, Roots) {
    let key = KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let roots = Roots::from_pem(certificate.pem().as_bytes()).expect("roots");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("tls versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a key pair");
    (TcpListener::bind(("localhost", 0)).expect("a port"), Arc::new(config), roots)
}

/// Takes one connection and answers 200 to every stream.
fn serve(listener: &TcpListener, config: Arc<ServerConfig>) -> std::io::Result<()> {
    let (mut tcp, _) = listener.accept()?;
    tcp.set_nodelay(true)?;
    let mut tls = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut settings = Vec::new();
    FrameHeader { len: 6, kind: kind::SETTINGS, flags: 0, stream: 0 }.encode(&mut settings);
    settings.extend_from_slice(&setting::MAX_CONCURRENT_STREAMS.to_be_bytes());
    settings.extend_from_slice(&(IN_FLIGHT as u32).to_be_bytes());
    tls.writer().write_all(&settings)?;
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let (mut inbox, mut out, mut chunk) = (Vec::new(), Vec::new(), vec![0; 64 * 1024]);
    let mut decoder = Decoder::new(4096);
    let mut id = [0; 36];
    let mut preface = PREFACE.len();
    loop {
        let len = stream.read(&mut chunk)?;
        if len == 0 {
            return Ok(());
        }
        inbox.extend_from_slice(&chunk[..len]);
        let mut at = preface.min(inbox.len());
        preface -= at;
        let mut credit = 0u32;
        while let Some(header) = inbox[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            let body = at + HEADER_BYTES;
            let Some(bytes) = inbox.get(body..body + header.len as usize) else { break };
            at = body + bytes.len();
            match header.kind {
                kind::HEADERS => decoder
                    .decode(bytes, 16_384, |name, value| {
                        if name == b"apns-id" {
                            id.copy_from_slice(value);
                        }
                    })
                    .map_err(std::io::Error::other)?,
                kind::DATA => {
                    credit += header.len;
                    let flags = flag::END_HEADERS | flag::END_STREAM;
                    FrameHeader { len: 47, kind: kind::HEADERS, flags, stream: header.stream }
                        .encode(&mut out);
                    out.extend_from_slice(b"\x88\x10\x07apns-id\x24");
                    out.extend_from_slice(&id);
                }
                _ => {}
            }
        }
        inbox.drain(..at);
        if credit > 0 {
            FrameHeader { len: 4, kind: kind::WINDOW_UPDATE, flags: 0, stream: 0 }.encode(&mut out);
            out.extend_from_slice(&credit.to_be_bytes());
        }
        stream.write_all(&out)?;
        out.clear();
    }
}

fn thread_cpu_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

async fn push(client: &mut Client, total: u64) -> (f64, f64) {
    let topic: Arc<str> = "com.example.im".into();
    let (token, payload) = (Bytes::from(vec![0xab; 32]), Bytes::from(vec![b'x'; PAYLOAD_BYTES]));
    let (mut next, mut done) = (0, 0);
    let mut answers = Vec::with_capacity(IN_FLIGHT);
    let (started, cpu) = (Instant::now(), thread_cpu_us());
    while done < total {
        let room = client.room().min(IN_FLIGHT.saturating_sub((next - done) as usize));
        for _ in 0..room.min((total - next) as usize) {
            let request = Request {
                key: next,
                token: token.clone(),
                topic: topic.clone(),
                push_type: PushType::Alert,
                priority: Priority::Immediate,
                expiration: Expiration::At(1_900_000_000),
                collapse_id: None,
                apns_id: u128::from(next).to_be_bytes(),
                payload: payload.clone(),
            };
            client.write(request).expect("there was room");
            next += 1;
        }
        client.progress(&mut answers).await;
        for (_, answer) in answers.drain(..) {
            assert!(matches!(answer, Answer::Reply { status: 200, .. }), "{answer:?}");
            done += 1;
        }
    }
    (started.elapsed().as_secs_f64(), thread_cpu_us() - cpu)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let total = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let (listener, config, roots) = listen();
    let port = listener.local_addr().expect("an address").port();
    let server = std::thread::spawn(move || serve(&listener, config));
    let p8 = KeyPair::generate().expect("a key").serialize_pem();
    let credential =
        Credential::Token(TokenKey::from_p8(p8.as_bytes(), "ABCDE12345", "TEAM567890").expect("a key"));
    let endpoint = Endpoint::custom("localhost", port, Environment::Sandbox).expect("a host");
    let mut client = Client::new(
        ClientConfig { roots, connections_max: 1, buffer_max: IN_FLIGHT, ..ClientConfig::new(endpoint) },
        credential,
    );
    push(&mut client, total / 10).await;
    let (seconds, cpu_us) = push(&mut client, total).await;
    println!(
        "{total} notifications of {PAYLOAD_BYTES} bytes, {IN_FLIGHT} in flight: {:.0}/s, {:.2} us of the client's thread each",
        total as f64 / seconds,
        cpu_us / total as f64
    );
    let mut answers = Vec::new();
    client.close(&mut answers);
    // The server ends with its connection; how does not matter.
    let _ = server.join();
}
