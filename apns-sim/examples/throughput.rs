//! How much CPU a request costs the simulator: a bare client in a process of its own sends as fast as it can.
//!
//! `cargo run --release -p skein-apns-sim --example throughput -- [off|memory|file] [requests]`

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::time::{ClockId, clock_gettime};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use skein_apns::frame::{FrameHeader, HEADER_BYTES, PREFACE, WINDOW_DEFAULT, flag, kind};
use skein_apns::hpack::{Indexing, Name, encode_indexed, encode_literal};
use skein_apns_sim::checker::{Confirmed, History, Ids, check};
use skein_apns_sim::log::{LogMode, Snapshot, read_file};
use skein_apns_sim::{Simulator, SimulatorConfig};

type Failure = Box<dyn std::error::Error>;

const TOKENS: u64 = 100_000;
/// Requests in flight, as far as the window allows.
const IN_FLIGHT: usize = 250;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, address, ca, requests] = arguments.as_slice()
        && role == "client"
    {
        return client(address, ca, requests.parse()?);
    }
    let mode = arguments.first().map_or("memory", String::as_str);
    let requests = arguments.get(1).map_or("1000000", String::as_str);
    let log_file = std::env::temp_dir().join("skein-sim-throughput.log");
    let ca = std::env::temp_dir().join("skein-sim-throughput.pem");
    let log = match mode {
        "off" => LogMode::Off,
        "memory" => LogMode::default(),
        _ => LogMode::File { path: log_file.clone(), rows_max: 1 << 22 },
    };
    let devices = mode != "off";
    let simulator =
        Simulator::start(SimulatorConfig { log, devices, ca_out: Some(ca.clone()), ..Default::default() })?;
    let cpu = || -> u64 {
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        spent.tv_sec as u64 * 1_000_000_000 + spent.tv_nsec as u64
    };
    let (began, cpu_before) = (Instant::now(), cpu());
    let client = Command::new(std::env::current_exe()?)
        .args(["client", &simulator.addr().to_string(), &ca.display().to_string(), requests])
        .stdin(Stdio::null())
        .status()?;
    if !client.success() {
        return Err(format!("the client failed ({client}): {}", simulator.stats().to_json()).into());
    }
    let (seconds, spent_ns) = (began.elapsed().as_secs_f64(), cpu() - cpu_before);
    let stats = simulator.stats();
    let per_request = spent_ns as f64 / stats.requests as f64 / 1000.0;
    writeln!(
        std::io::stdout(),
        "{mode}: {} requests, {} accepted, {:.0}/s, {per_request:.2} us CPU a request",
        stats.requests,
        stats.accepted,
        stats.requests as f64 / seconds,
    )?;
    let log = simulator.log();
    simulator.shutdown()?;
    match mode {
        "off" => Ok(()),
        "memory" => check_history(&log),
        _ => check_history(&read_file(&log_file)?),
    }
}

/// Checks the run's own log, for what it costs.
fn check_history(log: &Snapshot) -> Result<(), Failure> {
    let confirmed: Vec<Confirmed> = log
        .rows
        .iter()
        .map(|row| Confirmed {
            id: row.id(),
            token: row.token(),
            sequence: (row.id() as u64 & 0xffff_ffff) / TOKENS,
        })
        .collect();
    let began = Instant::now();
    let history =
        History { confirmed: &confirmed, log, verdicts: None, possible_copies: &Ids::new(), writers: None };
    let report = check(&history);
    writeln!(
        std::io::stdout(),
        "checked {} rows in {:.2} s: {report}",
        report.rows,
        began.elapsed().as_secs_f64()
    )?;
    Ok(())
}

fn client(address: &str, ca: &str, requests: usize) -> Result<(), Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), "localhost".try_into()?)?, socket);
    let mut out = PREFACE.to_vec();
    FrameHeader { len: 0, kind: kind::SETTINGS, flags: 0, stream: 0 }.encode(&mut out);
    let (mut sent, mut answered, mut allowed) = (0, 0, 1);
    let mut inbox = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let body = format!(
        r#"{{"aps":{{"alert":{{"title":"t","body":"{}"}},"badge":3}},"skein_seq":1}}"#,
        "x".repeat(165)
    );
    let authorization = bearer();
    let (mut window, mut goodbye) = (WINDOW_DEFAULT as usize, "no GOAWAY".to_owned());
    while answered < requests {
        while sent < requests && sent - answered < allowed && body.len() <= window {
            request(sent, &authorization, body.as_bytes(), &mut out);
            window -= body.len();
            sent += 1;
        }
        tls.write_all(&out)?;
        out.clear();
        let read = tls.read(&mut buffer)?;
        if read == 0 {
            let how_far = format!("{sent} sent, {answered} answered");
            return Err(format!("the simulator ended the connection: {how_far}, {goodbye}").into());
        }
        inbox.extend_from_slice(&buffer[..read]);
        let mut at = 0;
        while let Some(header) = inbox[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            let end = at + HEADER_BYTES + header.len as usize;
            if inbox.len() < end {
                break;
            }
            at = end;
            if header.kind == kind::HEADERS {
                answered += 1;
                allowed = IN_FLIGHT;
            }
            let payload = &inbox[at - header.len as usize..at];
            if header.kind == kind::WINDOW_UPDATE {
                window += u32::from_be_bytes(payload.try_into()?) as usize;
            }
            if header.kind == kind::GOAWAY {
                goodbye = format!("GOAWAY {:?}", payload.escape_ascii().to_string());
            }
            if header.kind == kind::SETTINGS && !header.has(flag::ACK) {
                FrameHeader { len: 0, kind: kind::SETTINGS, flags: flag::ACK, stream: 0 }.encode(&mut out);
            }
        }
        inbox.drain(..at);
    }
    Ok(())
}

fn bearer() -> String {
    let issued = skein_apns_sim::clock::wall_ms() / 1000;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"ABCDEFGHIJ"}"#);
    let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"TEAM567890","iat":{issued}}}"#));
    format!("bearer {header}.{claims}.{}", URL_SAFE_NO_PAD.encode([7; 64]))
}

/// Constant fields go into the dynamic table once; path, id and collapse id are literals.
fn request(number: usize, authorization: &str, body: &[u8], out: &mut Vec<u8>) {
    let constant: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b"authorization", authorization.as_bytes()),
        (b"apns-topic", b"com.example.im"),
        (b"apns-push-type", b"alert"),
    ];
    let mut block = Vec::with_capacity(512);
    for (at, (name, value)) in constant.into_iter().enumerate() {
        match number {
            0 => encode_literal(Indexing::Incremental, Name::Literal(name), value, &mut block),
            _ => encode_indexed(61 + constant.len() - at, &mut block),
        }
    }
    let path = format!("/3/device/{:064x}", number as u64 % TOKENS);
    let id = format!("0192aaaa-bbbb-7ccc-8ddd-{number:012x}");
    for (name, value) in [(&b":path"[..], &path), (b"apns-id", &id), (b"apns-collapse-id", &id)] {
        encode_literal(Indexing::Without, Name::Literal(name), value.as_bytes(), &mut block);
    }
    let stream = number as u32 * 2 + 1;
    FrameHeader { len: block.len() as u32, kind: kind::HEADERS, flags: flag::END_HEADERS, stream }
        .encode(out);
    out.extend_from_slice(&block);
    FrameHeader { len: body.len() as u32, kind: kind::DATA, flags: flag::END_STREAM, stream }.encode(out);
    out.extend_from_slice(body);
}
