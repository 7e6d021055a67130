//! A plain client under every fault: keeps the rules, believes nothing, sends again what was not answered for good.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use skein_apns::frame::{
    FrameHeader, HEADER_BYTES, MAX_FRAME_SIZE_DEFAULT, PREFACE, WINDOW_DEFAULT, error_code, flag, kind,
    setting,
};
use skein_apns::hpack::{Decoder, Indexing, Name, encode_literal};
use skein_apns_sim::Handle;

use crate::client::{config, fields, id, token, with};

/// Silence for so long makes a client look whether it is still served.
const QUIET: Duration = Duration::from_millis(40);
/// So many times in a row nothing came: a connection that is stuck, although no fault says so.
const QUIET_MAX: u32 = 500;
const TOKENS: u64 = 200;
const BODY: &[u8] = br#"{"aps":{"alert":"hi"}}"#;

/// What is left to send, over all connections.
pub struct Work {
    again: VecDeque<u64>,
    next: u64,
    in_flight_max: usize,
    pub done: u64,
}

impl Work {
    pub fn new(in_flight_max: usize) -> Self {
        Self { again: VecDeque::new(), next: 0, in_flight_max, done: 0 }
    }

    fn take(&mut self) -> u64 {
        self.again.pop_front().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Sends over one connection until that ends, or until `done_max` are answered for good.
    pub fn over_one_connection(&mut self, simulator: &Handle, done_max: u64) {
        let mut connection = Connection::open(simulator).expect("connected");
        let mut quiet = 0;
        while self.done < done_max {
            connection.send(self);
            match connection.read() {
                Ok(true) => quiet = 0,
                Ok(false) => {
                    quiet += 1;
                    assert!(quiet < QUIET_MAX, "the connection is stuck");
                    if connection.is_struck(simulator) {
                        break;
                    }
                    connection.cancel_all(self);
                }
                Err(_) => break,
            }
            if connection.take_frames(self).is_none() {
                break;
            }
        }
        self.again.extend(connection.open.into_values());
    }
}

struct Connection {
    tls: StreamOwned<ClientConnection, TcpStream>,
    decoder: Decoder,
    inbox: Vec<u8>,
    out: Vec<u8>,
    open: BTreeMap<u32, u64>,
    next_stream: u32,
    limit: usize,
    window: usize,
    going: bool,
    struck_before: u64,
}

fn struck(simulator: &Handle) -> u64 {
    let counts = simulator.stats();
    counts.stalls + counts.hostilities
}

impl Connection {
    fn open(simulator: &Handle) -> io::Result<Self> {
        let struck_before = struck(simulator);
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::new(config(simulator, &[b"h2"], None)), name);
        let socket = TcpStream::connect(simulator.addr())?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(QUIET))?;
        let mut out = PREFACE.to_vec();
        FrameHeader { len: 0, kind: kind::SETTINGS, flags: 0, stream: 0 }.encode(&mut out);
        Ok(Self {
            tls: StreamOwned::new(tls.map_err(io::Error::other)?, socket),
            decoder: Decoder::new(4096),
            inbox: Vec::new(),
            out,
            open: BTreeMap::new(),
            next_stream: 1,
            limit: 1,
            window: WINDOW_DEFAULT as usize,
            going: false,
            struck_before,
        })
    }

    /// Whether the simulator says that this connection is one of its standstills.
    fn is_struck(&self, simulator: &Handle) -> bool {
        struck(simulator) > self.struck_before
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        FrameHeader { len: body.len() as u32, kind, flags, stream }.encode(&mut self.out);
        self.out.extend_from_slice(body);
    }

    fn send(&mut self, work: &mut Work) {
        while !self.going && self.open.len() < self.limit.min(work.in_flight_max) && self.window >= BODY.len()
        {
            let number = work.take();
            let mut block = Vec::new();
            for (name, value) in with(fields(&token(number % TOKENS)), "apns-id", &id(number)) {
                let name = Name::Literal(name.as_bytes());
                encode_literal(Indexing::Without, name, value.as_bytes(), &mut block);
            }
            let stream = self.next_stream;
            self.next_stream += 2;
            self.frame(kind::HEADERS, flag::END_HEADERS, stream, &block);
            self.frame(kind::DATA, flag::END_STREAM, stream, BODY);
            self.window -= BODY.len();
            self.open.insert(stream, number);
        }
    }

    /// Sends what is queued and reads what comes; `false` if nothing came for a while.
    fn read(&mut self) -> io::Result<bool> {
        self.tls.write_all(&std::mem::take(&mut self.out))?;
        let mut buffer = [0; 16_384];
        match self.tls.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.inbox.extend_from_slice(&buffer[..read]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// What never gets an answer must not hold up the rest.
    fn cancel_all(&mut self, work: &mut Work) {
        for (stream, number) in std::mem::take(&mut self.open) {
            self.frame(kind::RST_STREAM, 0, stream, &error_code::CANCEL.to_be_bytes());
            work.again.push_back(number);
        }
    }

    /// `None` if the simulator broke HTTP/2.
    fn take_frames(&mut self, work: &mut Work) -> Option<()> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut at = 0;
        while let Some(header) = inbox[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            if header.len > MAX_FRAME_SIZE_DEFAULT {
                return None;
            }
            let start = at + HEADER_BYTES;
            let Some(body) = inbox.get(start..start + header.len as usize) else { break };
            self.take_frame(header, body, work)?;
            at = start + body.len();
        }
        self.inbox = inbox[at..].to_vec();
        Some(())
    }

    fn take_frame(&mut self, header: FrameHeader, body: &[u8], work: &mut Work) -> Option<()> {
        let number = |at: usize| body.get(at..at + 4)?.try_into().map(u32::from_be_bytes).ok();
        match header.kind {
            kind::HEADERS if !header.has(flag::END_HEADERS) || header.stream >= self.next_stream => {
                return None;
            }
            kind::HEADERS => {
                let mut status = Vec::new();
                let sink = |name: &[u8], value: &[u8]| {
                    if name == b":status" {
                        status = value.to_vec();
                    }
                };
                self.decoder.decode(body, 8000, sink).ok()?;
                let Some(id) = self.open.remove(&header.stream) else { return Some(()) };
                match &status[..] {
                    b"403" => {
                        work.again.push_back(id);
                        return None;
                    }
                    b"421" | b"429" | b"500" | b"503" => work.again.push_back(id),
                    _ => work.done += 1,
                }
            }
            kind::DATA if !body.is_empty() => {
                self.frame(kind::WINDOW_UPDATE, 0, 0, &header.len.to_be_bytes());
            }
            kind::SETTINGS if !header.has(flag::ACK) => {
                for [a, b, value @ ..] in body.as_chunks::<6>().0 {
                    if u16::from_be_bytes([*a, *b]) == setting::MAX_CONCURRENT_STREAMS {
                        self.limit = u32::from_be_bytes(*value) as usize;
                    }
                }
                self.frame(kind::SETTINGS, flag::ACK, 0, &[]);
            }
            kind::WINDOW_UPDATE => self.window = self.window.checked_add(number(0)? as usize)?,
            kind::RST_STREAM => work.again.extend(self.open.remove(&header.stream)),
            kind::GOAWAY => {
                self.going = true;
                work.again.extend(self.open.split_off(&(number(0)? + 1)).into_values());
            }
            kind::PUSH_PROMISE => return None,
            _ => {}
        }
        Some(())
    }
}
