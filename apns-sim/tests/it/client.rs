//! A bare HTTP/2 client: sends what the test says, shows every frame that comes back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use skein_apns::frame::{FrameHeader, PREFACE, error_code, flag, kind};
use skein_apns::hpack::{Decoder, Indexing, Name, encode_literal};
use skein_apns_sim::authority::PemPair;
use skein_apns_sim::{Handle, Simulator, SimulatorConfig};

pub use crate::answer::Answer;
pub use crate::fields::{Fields, fields, with, without};

/// Far beyond what any answer takes; a test that reaches it fails.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A JWT of the right form, the same in all tests: its signature is not looked at unless keys are registered.
pub fn bearer() -> String {
    static BEARER: LazyLock<String> = LazyLock::new(|| bearer_aged(0));
    BEARER.clone()
}

/// A JWT issued this many seconds ago.
pub fn bearer_aged(seconds: u64) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let issued = skein_apns_sim::clock::wall_ms() / 1000 - seconds;
    let header = encode(br#"{"alg":"ES256","kid":"ABCDEFGHIJ"}"#);
    let claims = encode(format!(r#"{{"iss":"TEAM567890","iat":{issued}}}"#).as_bytes());
    format!("bearer {header}.{claims}.{}", encode(&[7; 64]))
}

pub fn start(change: impl FnOnce(&mut SimulatorConfig)) -> Handle {
    let mut config = SimulatorConfig::default();
    change(&mut config);
    Simulator::start(config).expect("the simulator starts")
}

pub fn token(number: u64) -> String {
    format!("{number:064x}")
}

pub fn id(number: u64) -> String {
    format!("0192aaaa-bbbb-7ccc-8ddd-{number:012x}")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Headers {
        stream: u32,
        fields: Vec<(String, String)>,
        end: bool,
    },
    Data {
        stream: u32,
        body: String,
        end: bool,
    },
    Settings(Vec<(u16, u32)>),
    Ack,
    Pong(Vec<u8>),
    Goaway {
        last_stream: u32,
        code: u32,
        data: String,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    WindowUpdate,
    /// `None` is a clean end.
    Closed(Option<io::ErrorKind>),
}

pub struct Client {
    tls: StreamOwned<ClientConnection, TcpStream>,
    decoder: Decoder,
    next_stream: u32,
    pub out: Vec<u8>,
    /// Whether SETTINGS are acknowledged.
    pub acknowledges: bool,
    /// What came while waiting for something else.
    pub aside: Vec<Event>,
}

pub fn config(handle: &Handle, alpn: &[&[u8]], certificate: Option<&PemPair>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(handle.ca_pem().as_bytes()).expect("the root is PEM");
    roots.add(ca).expect("the root is good");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("tls versions")
        .with_root_certificates(roots);
    let mut config = match certificate {
        Some(pair) => {
            let chain = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("pem");
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("pem");
            builder.with_client_auth_cert(vec![chain], key).expect("a pair")
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

impl Client {
    /// Connects as a token client and takes the server's SETTINGS.
    pub fn connect(handle: &Handle) -> Self {
        let mut client = Self::try_connect(handle, &[b"h2"], None).expect("connected");
        assert!(matches!(client.event(), Event::Settings(_)));
        client
    }

    /// The same at another of its ports.
    pub fn connect_to(handle: &Handle, address: SocketAddr) -> Self {
        let mut client = Self::over_tcp(handle, address, &[b"h2"], None).expect("connected");
        client.flush().expect("sent");
        assert!(matches!(client.event(), Event::Settings(_)));
        client
    }

    /// Connects and shows a valid token, so that the stream limit is up.
    pub fn authorized(handle: &Handle) -> Self {
        let mut client = Self::connect(handle);
        client.push(&token(0xa11));
        client
    }

    pub fn try_connect(handle: &Handle, alpn: &[&[u8]], certificate: Option<&PemPair>) -> io::Result<Self> {
        let mut client = Self::over_tcp(handle, handle.addr(), alpn, certificate)?;
        client.flush()?;
        Ok(client)
    }

    /// TCP is up, TLS not yet begun.
    pub fn unconnected(handle: &Handle) -> Self {
        Self::over_tcp(handle, handle.addr(), &[b"h2"], None).expect("connected")
    }

    fn over_tcp(
        handle: &Handle,
        address: SocketAddr,
        alpn: &[&[u8]],
        certificate: Option<&PemPair>,
    ) -> io::Result<Self> {
        let config = config(handle, alpn, certificate);
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        let mut out = PREFACE.to_vec();
        FrameHeader { len: 0, kind: kind::SETTINGS, flags: 0, stream: 0 }.encode(&mut out);
        let tls = StreamOwned::new(connection, socket);
        Ok(Self {
            tls,
            decoder: Decoder::new(4096),
            next_stream: 1,
            out,
            acknowledges: true,
            aside: Vec::new(),
        })
    }

    /// Sends all that is queued in one write together with the client's last handshake message.
    pub fn flush_with_handshake(&mut self) {
        let out = std::mem::take(&mut self.out);
        let (tls, socket) = (&mut self.tls.conn, &mut self.tls.sock);
        tls.write_tls(socket).expect("client hello sent");
        while tls.is_handshaking() {
            tls.read_tls(socket).expect("server hello read");
            tls.process_new_packets().expect("a good handshake");
        }
        tls.writer().write_all(&out).expect("buffered");
        let mut all = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut all).expect("memory");
        }
        socket.write_all(&all).expect("sent");
    }

    pub fn flush(&mut self) -> io::Result<()> {
        let out = std::mem::take(&mut self.out);
        self.tls.write_all(&out)?;
        self.tls.flush()
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(&mut self.out);
        self.out.extend_from_slice(body);
    }

    /// Queues a request, without flushing it.
    pub fn queue(&mut self, fields: &[(String, String)], body: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut block = Vec::new();
        for (name, value) in fields {
            encode_literal(Indexing::Without, Name::Literal(name.as_bytes()), value.as_bytes(), &mut block);
        }
        self.frame(kind::HEADERS, flag::END_HEADERS, stream, &block);
        self.frame(kind::DATA, flag::END_STREAM, stream, body);
        stream
    }

    pub fn send(&mut self, fields: &[(String, String)], body: &[u8]) -> u32 {
        let stream = self.queue(fields, body);
        self.flush().expect("sent");
        stream
    }

    pub fn try_send(&mut self, fields: &[(String, String)], body: &[u8]) -> io::Result<u32> {
        let stream = self.queue(fields, body);
        self.flush()?;
        Ok(stream)
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, fields: &[(String, String)], body: &[u8]) -> Answer {
        let stream = self.send(fields, body);
        self.answer(stream)
    }

    /// Pushes an ordinary alert.
    pub fn push(&mut self, token: &str) -> Answer {
        self.ask(&fields(token), br#"{"aps":{"alert":"hi"}}"#)
    }

    pub fn event(&mut self) -> Event {
        let mut header = [0; 9];
        if let Some(closed) = self.read(&mut header) {
            return closed;
        }
        let header = FrameHeader::parse(&header);
        let mut body = vec![0; header.len as usize];
        if let Some(closed) = self.read(&mut body) {
            return closed;
        }
        let number = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| body[at + n]));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stream, end) = (header.stream, header.has(flag::END_STREAM));
        match header.kind {
            kind::HEADERS => {
                let mut fields = Vec::new();
                let sink = |name: &[u8], value: &[u8]| fields.push((text(name), text(value)));
                self.decoder.decode(&body, 8000, sink).expect("a good header block");
                Event::Headers { stream, fields, end }
            }
            kind::DATA => Event::Data { stream, body: text(&body), end },
            kind::SETTINGS if header.has(flag::ACK) => Event::Ack,
            kind::SETTINGS => {
                if self.acknowledges {
                    self.frame(kind::SETTINGS, flag::ACK, 0, &[]);
                    let _ = self.flush();
                }
                let (pairs, _) = body.as_chunks::<6>();
                Event::Settings(
                    pairs
                        .iter()
                        .map(|[a, b, value @ ..]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes(*value)))
                        .collect(),
                )
            }
            kind::PING => Event::Pong(body),
            kind::GOAWAY => Event::Goaway { last_stream: number(0), code: number(4), data: text(&body[8..]) },
            kind::RST_STREAM => Event::Reset { stream, code: number(0) },
            kind::WINDOW_UPDATE => Event::WindowUpdate,
            other => panic!("a frame of type {other} is not for clients"),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<Event> {
        match self.tls.read_exact(buffer) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(Event::Closed(None)),
            Err(error) => {
                let kind = error.kind();
                assert!(
                    kind != io::ErrorKind::WouldBlock && kind != io::ErrorKind::TimedOut,
                    "no answer came"
                );
                Some(Event::Closed(Some(kind)))
            }
        }
    }

    /// The next event that `wanted` picks; others are put aside.
    pub fn wait<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(at) = self.aside.iter().position(|event| wanted(event).is_some()) {
            return wanted(&self.aside.remove(at)).expect("just found");
        }
        loop {
            let event = self.event();
            if let Some(found) = wanted(&event) {
                return found;
            }
            assert!(
                !matches!(event, Event::Closed(_)),
                "the connection ended: {event:?} after {:?}",
                self.aside
            );
            self.aside.push(event);
        }
    }

    /// The first event that `wanted` picks, the end of the connection included; others are dropped.
    pub fn first<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.event()) {
                return found;
            }
        }
    }

    /// Type and length of the next frame, whatever it holds.
    pub fn raw_frame(&mut self) -> (u8, usize) {
        let mut header = [0; 9];
        self.tls.read_exact(&mut header).expect("a frame");
        let header = FrameHeader::parse(&header);
        self.tls.read_exact(&mut vec![0; header.len as usize]).expect("a whole frame");
        (header.kind, header.len as usize)
    }

    pub fn goaway(&mut self) -> (u32, u32, String) {
        self.wait(|event| match event {
            Event::Goaway { last_stream, code, data } => Some((*last_stream, *code, data.clone())),
            _ => None,
        })
    }

    pub fn reset(&mut self, wanted: u32) -> u32 {
        self.wait(|event| match event {
            Event::Reset { stream, code } if *stream == wanted => Some(*code),
            _ => None,
        })
    }

    pub fn closed(&mut self) -> Option<io::ErrorKind> {
        self.wait(|event| match event {
            Event::Closed(kind) => Some(*kind),
            _ => None,
        })
    }

    /// Everything that was sent before has been worked through when this returns.
    pub fn ping(&mut self) {
        self.frame(kind::PING, 0, 0, b"skein-12");
        self.flush().expect("sent");
        self.wait(|event| matches!(event, Event::Pong(body) if body == b"skein-12").then_some(()));
    }

    /// The newest stream limit announced.
    pub fn stream_limit(&mut self) -> u32 {
        self.wait(|event| match event {
            Event::Settings(settings) => {
                settings.iter().find(|(id, _)| *id == 3).map(|(_, streams)| *streams)
            }
            _ => None,
        })
    }
}

pub const REFUSED: u32 = error_code::REFUSED_STREAM;
