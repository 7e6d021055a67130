//! One client connection as a state machine: bytes and time in, bytes out. Owns no socket.

mod answers;
mod broadcast;
mod hostile;
mod intake;
mod journal;
mod limit;
mod serve;
mod strikes;
mod writer;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use skein_apns::frame::{
    FrameHeader, HEADER_BYTES, MAX_FRAME_SIZE_DEFAULT, PREFACE, WINDOW_DEFAULT, error_code, setting,
};
use skein_apns::hpack::Decoder;

use crate::certificates::EnvironmentRefusal;
use crate::client_certificate::ClientCertificate;
use crate::clock::monotonic_ns;
use crate::devices::Scene;
use crate::faults::{Faults, GoawayForm, Stall};
use crate::fingerprint::BuildMixed;
use crate::provider_token::{Authorization, TokenPolicy};
use crate::reason::Reason;
use crate::shared::{Orders, Shared};
use answers::Answers;
use intake::{Block, Open};
use journal::Journal;
use limit::StreamLimit;
use strikes::{Goaway, Strikes};

/// Bytes of dynamic table that a client may use; Apple's was 4,096 when last seen.
const HEADER_TABLE_BYTES_MAX: usize = 4096;
/// Bytes of a decoded header list; Apple's was 8,000 when last seen.
const HEADER_LIST_BYTES_MAX: u32 = 8000;

/// Which of Apple's ports a connection came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// One for all.
    Everything,
    /// Device pushes and broadcasts.
    Pushes,
    /// Channel management.
    Management,
}

/// What is left to do for the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Flush, then close.
    Close,
    /// Drop what is not flushed and reset.
    Reset,
}

/// What a piece of output means to the stream limit and to the window once it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queued {
    streams: u32,
    window: u32,
}

/// The client broke the protocol: a code of RFC 9113 §7 and what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken(u32, &'static str);

pub(crate) struct Connection {
    shared: Arc<Shared>,
    faults: Arc<Faults>,
    orders: Orders,
    number: u32,
    role: Role,
    certificate: Option<ClientCertificate>,
    tokens: Arc<TokenPolicy>,
    authorization: Authorization,
    shown_valid_token: bool,
    decoder: Decoder,
    inbox: Vec<u8>,
    preface_seen: bool,
    block: Option<Block>,
    open: HashMap<u32, Open, BuildMixed>,
    /// Streams that stay unanswered.
    silent: HashSet<u32, BuildMixed>,
    newest_stream: u32,
    requests: u64,
    /// What this connection's refusals weigh.
    errors: u64,
    limit: StreamLimit,
    answers: Answers,
    journal: Journal,
    strikes: Strikes,
    goaway: Goaway,
    goaway_form: GoawayForm,
    stalled: bool,
    window_bytes: u32,
    /// What the client may still send; it cannot know of more before that is flushed.
    window: i64,
    window_used: u32,
    /// Returned in `out`, ...
    window_returned: u32,
    /// ... and in the bytes being sent.
    window_sending: u32,
    now_ns: u64,
    now_ms: u64,
    /// When what is being worked through was read.
    read_ns: u64,
    end: Option<End>,
}

impl Connection {
    /// A connection whose TLS handshake is done. Its SETTINGS are in [`out`](Self::out) already.
    pub(crate) fn new(
        shared: Arc<Shared>,
        number: u32,
        role: Role,
        peer: SocketAddr,
        certificate: Option<ClientCertificate>,
    ) -> Self {
        let orders = *shared.orders.borrow();
        let faults = shared.faults();
        let streams = if certificate.is_some() { shared.streams_max } else { 1 };
        let window_bytes = shared.window_bytes();
        let (tokens, now_ms) = (shared.tokens(), shared.wall_ms());
        let mut answers = Answers::new();
        answers.split_bodies = faults.connection.split_bodies;
        let settings = [
            (setting::HEADER_TABLE_SIZE, HEADER_TABLE_BYTES_MAX as u32),
            (setting::MAX_CONCURRENT_STREAMS, streams),
            (setting::INITIAL_WINDOW_SIZE, window_bytes),
            (setting::MAX_FRAME_SIZE, MAX_FRAME_SIZE_DEFAULT),
            (setting::MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX),
        ];
        writer::settings(&settings, &mut answers.out);
        if window_bytes > WINDOW_DEFAULT {
            writer::window_update(window_bytes - WINDOW_DEFAULT, &mut answers.out);
        }
        let mut connection = Self {
            strikes: Strikes::new(&faults, number, certificate.is_some(), 0),
            goaway_form: faults.goaway_form(number),
            journal: Journal::new(&shared.book, number, peer),
            limit: StreamLimit::new(streams, shared.streams_max),
            window_bytes,
            window: i64::from(window_bytes.max(WINDOW_DEFAULT)),
            shared,
            faults,
            orders,
            number,
            role,
            certificate,
            tokens,
            authorization: Authorization::default(),
            shown_valid_token: false,
            decoder: Decoder::new(HEADER_TABLE_BYTES_MAX),
            inbox: Vec::new(),
            preface_seen: false,
            block: None,
            open: HashMap::default(),
            silent: HashSet::default(),
            newest_stream: 0,
            requests: 0,
            errors: 0,
            answers,
            goaway: Goaway::None,
            stalled: false,
            window_used: 0,
            window_returned: 0,
            window_sending: 0,
            now_ns: monotonic_ns(),
            now_ms,
            read_ns: monotonic_ns(),
            end: None,
        };
        connection.turn_away();
        connection
    }

    /// Ends a connection whose certificate is for the other environment, if that is how it is refused.
    fn turn_away(&mut self) {
        let (environment, shared) = (self.shared.environment, &self.shared);
        if self.certificate.as_ref().is_some_and(|certificate| !certificate.is_for(environment))
            && shared.certificates.wrong_environment() == EnvironmentRefusal::Goaway
        {
            self.goaway_form = GoawayForm::refusal(Reason::BadCertificateEnvironment);
            self.begin_goaway(0);
        }
    }

    /// Where decrypted bytes go before [`process`](Self::process).
    pub(crate) fn inbox(&mut self) -> &mut Vec<u8> {
        &mut self.inbox
    }

    /// What is to be encrypted and sent; taken empty by the driver.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.answers.out
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the driver is to read from the socket.
    pub(crate) fn reads(&self) -> bool {
        self.faults.stall != Stall::Reads
    }

    /// When `process` must be called although nothing came.
    pub(crate) fn due_ns(&self) -> Option<u64> {
        if self.stalled {
            return None;
        }
        let goaway = match self.goaway {
            Goaway::Announced { at_ns, .. } => Some(at_ns),
            Goaway::None | Goaway::Final { .. } => None,
        };
        [goaway, self.answers.next_due_ns()].into_iter().flatten().min()
    }

    /// Bytes that the driver reads in a second; 0 is as many as there are.
    pub(crate) fn read_bytes_per_s(&self) -> u64 {
        self.faults.connection.read_bytes_per_s
    }

    /// Works through everything that came and everything that is due.
    pub(crate) fn process(&mut self) {
        self.process_read_at(monotonic_ns());
    }

    /// The same for what was read at `read_ns` and has been on its way since.
    pub(crate) fn process_read_at(&mut self, read_ns: u64) {
        self.now_ns = monotonic_ns();
        self.now_ms = self.shared.wall_ms();
        self.read_ns = read_ns;
        if self.stalled {
            self.inbox.clear();
            return;
        }
        let inbox = std::mem::take(&mut self.inbox);
        let done = match self.take_frames(&inbox) {
            Ok(done) => done,
            Err(broken) => {
                self.broken(broken);
                inbox.len()
            }
        };
        self.inbox = inbox;
        self.inbox.drain(..done);
        while let Some(answer) = self.answers.take_due(self.now_ns) {
            self.emit(answer);
        }
        self.return_window();
        self.finish_goaway();
        self.commit();
    }

    fn take_frames(&mut self, inbox: &[u8]) -> Result<usize, Broken> {
        let mut at = 0;
        if !self.preface_seen {
            let Some(preface) = inbox.get(..writer::PREFACE_BYTES) else { return Ok(0) };
            if preface != PREFACE {
                return Err(Broken(error_code::PROTOCOL_ERROR, "the client preface is missing"));
            }
            self.preface_seen = true;
            at = writer::PREFACE_BYTES;
        }
        while let Some(header) = inbox[at..].first_chunk::<HEADER_BYTES>().map(FrameHeader::parse) {
            if header.len > MAX_FRAME_SIZE_DEFAULT {
                return Err(Broken(error_code::FRAME_SIZE_ERROR, "a frame is larger than allowed"));
            }
            let start = at + HEADER_BYTES;
            let Some(body) = inbox.get(start..start + header.len as usize) else { break };
            self.take_frame(header, body)?;
            at = start + header.len as usize;
            if self.end.is_some() || self.stalled {
                return Ok(inbox.len());
            }
        }
        Ok(at)
    }

    /// What was written to `out` since the last call; the driver takes it from there next.
    pub(crate) fn take_queued(&mut self) -> Queued {
        let window = std::mem::take(&mut self.window_returned);
        self.answers.is_taken();
        Queued { streams: self.limit.announced(), window }
    }

    /// The bytes that `queued` tells of are among those that the next [`flush`](Self::flush) sends.
    pub(crate) fn sends(&mut self, queued: Queued) {
        self.limit.sends(queued.streams);
        self.window_sending += queued.window;
    }

    /// So are all that `out` has.
    pub(crate) fn sends_all(&mut self) {
        let queued = self.take_queued();
        self.sends(queued);
    }

    /// Runs `write`, which sends what was taken from `out` and says how much of all that ever was has gone, and whether all.
    pub(crate) fn flush(&mut self, write: impl FnOnce() -> io::Result<(u64, bool)>) -> io::Result<()> {
        if self.journal.write_queued(write)? {
            self.limit.flushed();
            self.window += i64::from(std::mem::take(&mut self.window_sending));
        }
        Ok(())
    }

    /// Looks at the simulator's orders and follows the new ones.
    pub(crate) fn obey(&mut self, orders: Orders) {
        self.now_ns = monotonic_ns();
        self.now_ms = self.shared.wall_ms();
        let before = std::mem::replace(&mut self.orders, orders);
        if orders.faults != before.faults {
            self.faults = self.shared.faults();
            self.answers.split_bodies = self.faults.connection.split_bodies;
            let has_certificate = self.certificate.is_some();
            self.strikes = Strikes::new(&self.faults, self.number, has_certificate, self.requests);
            self.goaway_form = self.faults.goaway_form(self.number);
            if self.faults.stall == Stall::None {
                while let Some(answer) = self.answers.take_held() {
                    self.emit(answer);
                }
            }
        }
        if orders.tokens != before.tokens {
            self.tokens = self.shared.tokens();
        }
        if orders.goaway != before.goaway || orders.stop {
            self.begin_goaway(self.newest_stream);
        }
        if orders.reset != before.reset {
            self.shared.stats.resets.fetch_add(1, Relaxed);
            self.end = Some(End::Reset);
        }
        self.finish_goaway();
        if orders.stop && self.end.is_none() {
            self.end = Some(End::Close);
        }
        self.commit();
    }

    fn broken(&mut self, Broken(code, what): Broken) {
        self.shared.stats.protocol_errors.fetch_add(1, Relaxed);
        tracing::debug!(connection = self.number, code, what, "the client broke HTTP/2");
        writer::goaway(self.newest_stream, code, what.as_bytes(), &mut self.answers.out);
        self.end = Some(End::Close);
    }

    fn return_window(&mut self) {
        if self.window_used > self.window_bytes / 4 && self.end.is_none() {
            writer::window_update(self.window_used, &mut self.answers.out);
            self.window_returned += std::mem::take(&mut self.window_used);
        }
    }

    fn commit(&mut self) {
        let scene = Scene { faults: &self.faults.device, seed: self.faults.seed, now_ms: self.now_ms };
        self.journal.commit(self.shared.devices.as_ref(), scene);
    }

    /// The connection is gone.
    pub(crate) fn close(&mut self) {
        self.commit();
        self.journal.close();
    }
}
