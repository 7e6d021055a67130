//! A server that begins as APNs does and then misbehaves as it was told, on its first connection only.

use crate::authority::Authority;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use skein_apns::frame::{FrameHeader, HEADER_BYTES, PREFACE, flag, kind, setting};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// `:status 200`, nothing else (RFC 7541, appendix A).
const ACCEPTED: &[u8] = &[0x88];
/// The most that a flood sends.
pub const FLOOD_BYTES: u64 = 256 << 20;

/// What the first connection does at its [`STRIKE_AT`]th request.
#[derive(Clone, Copy)]
pub enum Act {
    /// Sends this for the request's stream, then neither reads nor writes any more.
    Say(fn(u32) -> Vec<u8>),
    /// Answers the request with this, and goes on well.
    Answer(fn(u32) -> Vec<u8>),
    /// Sends this without end, [`FLOOD_BYTES`] at most; the request's stream and the number of the turn.
    Flood(fn(u32, u32) -> Vec<u8>),
    /// Resets the TCP connection.
    Reset,
    /// Ends its half of the TCP connection without a word of TLS, and goes on reading.
    HalfClose,
    /// Neither reads nor writes.
    Silence,
    /// Answers from here on, one byte a TLS record, a pause between the answers.
    Dribble(Duration),
    /// Reads a byte at a time with a pause between, and answers nothing.
    SlowDrain(Duration),
    /// Leaves no room for any body from the beginning; answers PING or not.
    ZeroWindow { pings: bool },
}

pub const STRIKE_AT: u64 = 20;

/// What was seen of it.
#[derive(Default)]
pub struct Seen {
    /// When it struck.
    pub struck: Mutex<Option<Instant>>,
    /// When another connection read its first request after that.
    pub healed: Mutex<Option<Instant>>,
    /// Bytes that a flood could get rid of.
    pub flooded: AtomicU64,
    pub connections: AtomicU64,
    pub tls_failures: AtomicU64,
}

/// Serves as long as the runtime lives. Gives its port.
pub async fn start(authority: &Authority, act: Act) -> (u16, Arc<Seen>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls(authority)));
    let seen = Arc::new(Seen::default());
    let all = seen.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let number = all.connections.fetch_add(1, Ordering::Relaxed);
            let (acceptor, seen) = (acceptor.clone(), all.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else {
                    seen.tls_failures.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                let act = (number == 0).then_some(act);
                let mut session = Session { stream, seen, act, requests: 0, dribbles: None };
                // How it ends is the client's doing, or the act's.
                let _ = session.serve().await;
            });
        }
    });
    (port, seen)
}

fn tls(authority: &Authority) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = CertificateDer::from_pem_file(authority.file("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(authority.file("key.pem")).unwrap();
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// One frame; `len` is the payload's own.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHeader { len: payload.len() as u32, kind, flags, stream }.encode(&mut out);
    out.extend_from_slice(payload);
    out
}

pub fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

fn accepted(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, ACCEPTED)
}

struct Session {
    stream: TlsStream<TcpStream>,
    seen: Arc<Seen>,
    act: Option<Act>,
    requests: u64,
    dribbles: Option<Duration>,
}

impl Session {
    async fn serve(&mut self) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.stream.read_exact(&mut preface).await?;
        assert_eq!(&preface, PREFACE);
        let window = if matches!(self.act, Some(Act::ZeroWindow { .. })) { 0 } else { 1 << 20 };
        let mut hello =
            settings(&[(setting::INITIAL_WINDOW_SIZE, window), (setting::MAX_CONCURRENT_STREAMS, 1_000)]);
        hello.extend(frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
        self.say(&hello).await?;
        if window == 0 {
            self.strikes();
        }
        loop {
            let (header, payload) = self.frame().await?;
            match header.kind {
                kind::SETTINGS if !header.has(flag::ACK) => {
                    self.say(&frame(kind::SETTINGS, flag::ACK, 0, &[])).await?;
                }
                kind::PING if self.answers_pings() && !header.has(flag::ACK) => {
                    self.say(&frame(kind::PING, flag::ACK, 0, &payload)).await?;
                }
                kind::HEADERS | kind::DATA if header.has(flag::END_STREAM) => {
                    self.request(header.stream).await?
                }
                kind::GOAWAY => return Ok(()),
                _ => {}
            }
        }
    }

    async fn request(&mut self, stream: u32) -> io::Result<()> {
        self.requests += 1;
        if self.act.is_none() && self.seen.struck.lock().unwrap().is_some() {
            self.seen.healed.lock().unwrap().get_or_insert_with(Instant::now);
        }
        match self.act {
            Some(act) if self.requests == STRIKE_AT => self.strike(act, stream).await,
            _ => {
                if let Some(pause) = self.dribbles {
                    tokio::time::sleep(pause).await;
                }
                self.say(&accepted(stream)).await
            }
        }
    }

    async fn strike(&mut self, act: Act, stream: u32) -> io::Result<()> {
        self.strikes();
        match act {
            Act::Say(words) => {
                self.say(&words(stream)).await?;
                std::future::pending().await
            }
            Act::Answer(words) => self.say(&words(stream)).await,
            Act::Flood(words) => {
                for turn in 0.. {
                    let words = words(stream, turn);
                    if self.seen.flooded.load(Ordering::Relaxed) > FLOOD_BYTES {
                        break;
                    }
                    self.stream.write_all(&words).await?;
                    self.seen.flooded.fetch_add(words.len() as u64, Ordering::Relaxed);
                }
                self.stream.flush().await?;
                self.say(&accepted(stream)).await
            }
            Act::Reset => {
                socket2::SockRef::from(self.stream.get_ref().0).set_linger(Some(Duration::ZERO))?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Act::HalfClose => {
                socket2::SockRef::from(self.stream.get_ref().0).shutdown(std::net::Shutdown::Write)?;
                loop {
                    self.frame().await?;
                }
            }
            Act::Silence => std::future::pending().await,
            Act::Dribble(pause) => {
                self.dribbles = Some(pause);
                self.say(&accepted(stream)).await
            }
            Act::SlowDrain(pause) => loop {
                self.stream.get_mut().0.read_u8().await?;
                tokio::time::sleep(pause).await;
            },
            Act::ZeroWindow { .. } => unreachable!("it lets no request through"),
        }
    }

    fn answers_pings(&self) -> bool {
        !matches!(self.act, Some(Act::ZeroWindow { pings: false }))
    }

    fn strikes(&self) {
        self.seen.struck.lock().unwrap().get_or_insert_with(Instant::now);
    }

    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.dribbles.is_none() {
            self.stream.write_all(bytes).await?;
            return self.stream.flush().await;
        }
        for byte in bytes {
            self.stream.write_all(&[*byte]).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }

    async fn frame(&mut self) -> io::Result<(FrameHeader, Vec<u8>)> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await?;
        let header = FrameHeader::parse(&header);
        let mut payload = vec![0; header.len as usize];
        self.stream.read_exact(&mut payload).await?;
        Ok((header, payload))
    }
}
