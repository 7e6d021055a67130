//! A server made of raw frames: the test decides each byte that the client gets.

use bytes::Bytes;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use skein_apns::frame::{FrameHeader, HEADER_BYTES, PREFACE, flag, kind, setting};
use skein_apns::hpack::{Decoder, Indexing, Name, encode_literal};
use skein_apns::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longer than any test needs: only a hang ends here.
const PATIENCE: Duration = Duration::from_secs(60);

/// One certificate authority and what it signs.
pub struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(self.issuer.pem().as_bytes()).unwrap()
    }

    fn signed(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    pub fn client_certificate(&self) -> Credential {
        let (certificate, key) = self.signed("client");
        let loaded =
            ClientCertificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())
                .unwrap();
        Credential::Certificate(loaded)
    }

    /// `clients` signs the client certificates that are required.
    pub fn server_config(&self, clients: Option<&Pki>) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(clients.issuer.der().clone()).unwrap();
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap(),
                )
            }
        };
        let (certificate, key) = self.signed("localhost");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

pub fn token() -> Credential {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    Credential::Token(TokenKey::from_p8(pem.as_bytes(), "ABCDE12345", "TEAM567890").unwrap())
}

/// A listening server, and how to reach it.
pub struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    pub pki: Pki,
}

impl Server {
    pub async fn new() -> Self {
        let pki = Pki::new();
        let config = pki.server_config(None);
        Self::with(pki, config).await
    }

    pub async fn with(pki: Pki, config: ServerConfig) -> Self {
        let listener = TcpListener::bind(("localhost", 0)).await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), pki }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// A client's settings for this server: quick to retry, otherwise the defaults.
    pub fn config(&self) -> ClientConfig {
        let endpoint = Endpoint::custom("localhost", self.port(), Environment::Sandbox).unwrap();
        ClientConfig {
            roots: self.pki.roots(),
            connect_interval_min: Duration::from_millis(1),
            backoff_min: Duration::from_millis(1),
            backoff_max: Duration::from_millis(20),
            ..ClientConfig::new(endpoint)
        }
    }

    pub async fn accept_tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (tcp, _) = self.listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        self.acceptor.accept(tcp).await
    }

    pub async fn accept_raw(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }

    /// The handshake alone; the socket stays with the caller whatever comes of it.
    pub async fn handshake(&self, tcp: &mut TcpStream) -> std::io::Result<()> {
        self.acceptor.accept(tcp).await.map(drop)
    }

    /// The next connection, its preface read, our SETTINGS acknowledged: it is in service.
    pub async fn accept(&self, settings: &[(u16, u32)]) -> Peer {
        let mut peer = self.accept_silent().await;
        peer.settings(settings).await;
        while !peer.frame_of(kind::SETTINGS).await.0.has(flag::ACK) {}
        peer
    }

    /// The next connection, in service, its first request answered with 200.
    pub async fn accept_and_reply(&self) -> Peer {
        let mut peer = self.accept(MANY).await;
        let asked = peer.request().await;
        peer.reply(&asked, 200, b"").await;
        peer
    }

    /// The next connection, its preface read, nothing sent.
    pub async fn accept_silent(&self) -> Peer {
        let mut stream = self.accept_tls().await.unwrap();
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.unwrap();
        assert_eq!(preface, *PREFACE);
        Peer { stream, decoder: Decoder::new(4096) }
    }
}

pub const MANY: &[(u16, u32)] = &[(setting::MAX_CONCURRENT_STREAMS, 100)];

/// One request as it was read.
#[derive(Debug)]
pub struct Asked {
    pub stream: u32,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// The server's side of one connection.
pub struct Peer {
    pub stream: TlsStream<TcpStream>,
    decoder: Decoder,
}

impl Peer {
    pub async fn frame(&mut self) -> (FrameHeader, Vec<u8>) {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await.unwrap();
        let header = FrameHeader::parse(&header);
        let mut body = vec![0; header.len as usize];
        self.stream.read_exact(&mut body).await.unwrap();
        (header, body)
    }

    /// The next frame of a kind; others are passed over.
    pub async fn frame_of(&mut self, wanted: u8) -> (FrameHeader, Vec<u8>) {
        loop {
            let (header, body) = self.frame().await;
            if header.kind == wanted {
                return (header, body);
            }
        }
    }

    pub async fn request(&mut self) -> Asked {
        let (header, block) = self.frame_of(kind::HEADERS).await;
        let mut headers = Vec::new();
        self.decoder
            .decode(&block, 16_384, |name, value| {
                headers.push((
                    String::from_utf8(name.to_vec()).unwrap(),
                    String::from_utf8(value.to_vec()).unwrap(),
                ));
            })
            .unwrap();
        if header.has(flag::END_STREAM) {
            return Asked { stream: header.stream, headers, body: Vec::new() };
        }
        let (data, body) = self.frame_of(kind::DATA).await;
        assert_eq!(data.stream, header.stream);
        assert!(data.has(flag::END_STREAM));
        Asked { stream: header.stream, headers, body }
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        let mut bytes = FrameHeader { len: body.len() as u32, kind, flags, stream }.to_bytes().to_vec();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn settings(&mut self, pairs: &[(u16, u32)]) {
        let body: Vec<u8> = pairs
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        self.send(kind::SETTINGS, 0, 0, &body).await;
    }

    pub async fn reply(&mut self, asked: &Asked, status: u16, body: &[u8]) {
        self.reply_with(asked, status, &[("apns-id", asked.header("apns-id"))], body).await;
    }

    pub async fn reply_with(&mut self, asked: &Asked, status: u16, fields: &[(&str, &str)], body: &[u8]) {
        let mut block = Vec::new();
        encode_literal(Indexing::Without, Name::Index(8), status.to_string().as_bytes(), &mut block);
        for (name, value) in fields {
            let name = Name::Literal(name.as_bytes());
            encode_literal(Indexing::Incremental, name, value.as_bytes(), &mut block);
        }
        let end = if body.is_empty() { flag::END_STREAM } else { 0 };
        self.send(kind::HEADERS, flag::END_HEADERS | end, asked.stream, &block).await;
        let mut parts = body.chunks(16_384).peekable();
        while let Some(part) = parts.next() {
            let end = if parts.peek().is_none() { flag::END_STREAM } else { 0 };
            self.send(kind::DATA, end, asked.stream, part).await;
        }
    }

    pub async fn goaway(&mut self, last: u32, debug: &[u8]) {
        let body = [&last.to_be_bytes()[..], &0u32.to_be_bytes(), debug].concat();
        self.send(kind::GOAWAY, 0, 0, &body).await;
    }

    /// Cuts the TCP connection with a reset.
    pub fn cut(self) {
        let (tcp, _) = self.stream.into_inner();
        tcp.set_zero_linger().unwrap();
    }
}

pub fn request(key: u64) -> Request {
    Request {
        key,
        token: Bytes::copy_from_slice(&[key as u8; 32]),
        topic: "com.example.im".into(),
        push_type: PushType::Alert,
        priority: Priority::Immediate,
        expiration: Expiration::NotStored,
        collapse_id: None,
        apns_id: [key as u8; 16],
        payload: Bytes::from(format!(r#"{{"aps":{{"alert":"{key}"}}}}"#)),
    }
}

pub fn write_all(client: &mut Client, keys: std::ops::RangeInclusive<u64>) {
    for key in keys {
        client.write(request(key)).unwrap();
    }
}

/// The next `count` answers, sorted by key.
pub async fn answers(client: &mut Client, count: usize) -> Vec<Answered> {
    let mut answers = Vec::new();
    tokio::time::timeout(PATIENCE, async {
        while answers.len() < count {
            client.progress(&mut answers).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{count} answers expected, got {answers:?}, {:?}", client.status()));
    assert_eq!(answers.len(), count);
    answers.sort_by_key(|(key, _)| *key);
    answers
}

/// What each answer is called, in order of keys.
pub fn labels(answers: &[Answered]) -> Vec<(u64, &'static str)> {
    answers.iter().map(|(key, answer)| (*key, answer.label())).collect()
}

/// Polls the client while the server's script runs, which must end first; answers are kept.
pub async fn while_serving<T>(
    client: &mut Client,
    kept: &mut Vec<Answered>,
    script: impl Future<Output = T>,
) -> T {
    tokio::pin!(script);
    tokio::time::timeout(PATIENCE, async {
        loop {
            tokio::select! {
                biased;
                done = &mut script => return done,
                () = client.progress(kept) => {}
            }
        }
    })
    .await
    .expect("the script ends")
}
