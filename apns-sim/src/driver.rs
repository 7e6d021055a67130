//! Drives one connection: a socket, rustls, a wire of the length asked for, and the state machine behind them.

mod outbox;
mod socket;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::clock::monotonic_ns;
use crate::connection::{Connection, End, Queued, Role};
use crate::shared::{Orders, Shared};
use socket::{Socket, interest};
use wire::Line;

/// How long a client may take over its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a closed connection's rest is read, so that the client gets to see the last answers.
const LINGER_MAX: Duration = Duration::from_millis(500);
/// A slow reader reads this often in a second, and so much less each time.
const SLOW_READS_PER_S: u64 = 20;

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    number: u32,
    role: Role,
) {
    let Ok(peer) = stream.peer_addr() else { return };
    shared.stats.connections.fetch_add(1, Relaxed);
    if shared.stats.connections_open.fetch_add(1, Relaxed) < shared.connections_max {
        let ended = serve_counted(&stream, peer, tls, &shared, (number, role)).await;
        tracing::debug!(connection = number, ?ended, "connection ended");
    }
    shared.stats.connections_open.fetch_sub(1, Relaxed);
}

async fn serve_counted(
    stream: &TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
    shared: &Arc<Shared>,
    (number, role): (u32, Role),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = Socket::new(stream, tls).map_err(io::Error::other)?;
    let handshake = timeout(HANDSHAKE_MAX, socket.handshake()).await.unwrap_or_else(|late| Err(late.into()));
    if let Err(error) = handshake {
        shared.stats.tls_errors.fetch_add(1, Relaxed);
        let _ = socket.write_some();
        return Err(error);
    }
    let certificate = shared.certificates.read(socket.client_chain());
    let connection = Box::new(Connection::new(Arc::clone(shared), number, role, peer, certificate));
    let mut drive = Drive::new(socket, connection, Arc::clone(shared));
    let ended = drive.run(shared.orders.subscribe()).await;
    drive.connection.close();
    if matches!(ended, Ok(End::Close)) {
        let _ = timeout(LINGER_MAX, drive.socket.finish()).await;
    }
    if matches!(ended, Ok(End::Reset)) {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    }
    ended.map(|_| ())
}

struct Drive<'a> {
    socket: Socket<'a>,
    connection: Box<Connection>,
    shared: Arc<Shared>,
    /// Read and not yet acted on, with the time of reading.
    inward: Line<u64>,
    /// Written by the connection and not yet by the socket.
    outward: Line<Queued>,
    /// The client has said its last.
    is_read_out: bool,
    /// A slow reader does not read before.
    reads_from_ns: u64,
}

impl<'a> Drive<'a> {
    fn new(socket: Socket<'a>, connection: Box<Connection>, shared: Arc<Shared>) -> Self {
        Self {
            socket,
            connection,
            shared,
            inward: Line::new(),
            outward: Line::new(),
            is_read_out: false,
            reads_from_ns: 0,
        }
    }

    async fn run(&mut self, mut orders: watch::Receiver<Orders>) -> io::Result<End> {
        self.connection.obey(*orders.borrow_and_update());
        let mut early = Vec::new();
        self.socket.take_plaintext(&mut early)?;
        self.take_in(early);
        loop {
            self.act();
            self.put_out()?;
            match self.connection.end() {
                Some(End::Reset) => return Ok(End::Reset),
                Some(End::Close) if self.socket.is_flushed() && self.outward.is_empty() => {
                    return Ok(End::Close);
                }
                _ => {}
            }
            if self.is_read_out && self.inward.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let (reads, due_ns) = self.wants();
            tokio::select! {
                biased;
                changed = orders.changed() => {
                    let orders = if changed.is_ok() { *orders.borrow_and_update() } else { Orders { stop: true, ..Orders::default() } };
                    self.connection.obey(orders);
                }
                () = until(due_ns) => self.connection.process(),
                ready = self.socket.stream.ready(interest(reads, !self.socket.is_flushed())) => {
                    let ready = ready?;
                    if !reads && ready.is_error() {
                        return Err(io::ErrorKind::ConnectionReset.into());
                    }
                    if ready.is_readable() && reads {
                        self.read()?;
                    }
                }
            }
        }
    }

    /// Whether to read now, and when to look again although nothing came.
    fn wants(&self) -> (bool, Option<u64>) {
        let may_read = self.connection.reads()
            && self.connection.end().is_none()
            && self.socket.is_flushed()
            && !self.is_read_out
            && !self.inward.is_full()
            && !self.outward.is_full();
        let waits = may_read && self.reads_from_ns > monotonic_ns();
        let arrives_ns = self.inward.due_ns().filter(|_| self.connection.reads());
        let reads_from_ns = waits.then_some(self.reads_from_ns);
        let due = [self.connection.due_ns(), arrives_ns, self.outward.due_ns(), reads_from_ns];
        (may_read && !waits, due.into_iter().flatten().min())
    }

    fn read(&mut self) -> io::Result<()> {
        let rate = self.connection.read_bytes_per_s();
        let bytes_max = if rate == 0 { usize::MAX } else { (rate / SLOW_READS_PER_S).max(1) as usize };
        if self.shared.half_round_trip_ns() == 0 && self.inward.is_empty() {
            let before = self.connection.inbox().len();
            self.is_read_out = !self.socket.read_batch(self.connection.inbox(), bytes_max)?;
            let read = self.connection.inbox().len() - before;
            self.slow_down(read, rate);
            self.connection.process();
        } else {
            let mut bytes = Vec::new();
            self.is_read_out = !self.socket.read_batch(&mut bytes, bytes_max)?;
            self.slow_down(bytes.len(), rate);
            self.take_in(bytes);
        }
        Ok(())
    }

    fn slow_down(&mut self, read: usize, bytes_per_s: u64) {
        if let Some(pause_ns) = (read as u64 * 1_000_000_000).checked_div(bytes_per_s) {
            self.reads_from_ns = monotonic_ns() + pause_ns;
        }
    }

    fn take_in(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let now_ns = monotonic_ns();
            self.inward.send(now_ns + self.shared.half_round_trip_ns(), bytes, now_ns);
        }
    }

    /// Lets the connection act on what has arrived.
    fn act(&mut self) {
        if self.inward.is_empty() || !self.connection.reads() {
            return;
        }
        let now_ns = monotonic_ns();
        while let Some(piece) = self.inward.arrived(now_ns) {
            self.connection.inbox().extend_from_slice(&piece.bytes);
            self.connection.process_read_at(piece.mark);
        }
    }

    /// Sends what the connection wrote, when it is time.
    fn put_out(&mut self) -> io::Result<()> {
        let half_ns = self.shared.half_round_trip_ns();
        if half_ns == 0 && self.outward.is_empty() {
            self.connection.sends_all();
            self.socket.encrypt(self.connection.out())?;
        } else {
            if !self.connection.out().is_empty() {
                let queued = self.connection.take_queued();
                let bytes = std::mem::take(self.connection.out());
                self.outward.send(monotonic_ns() + half_ns, bytes, queued);
            }
            let now_ns = monotonic_ns();
            while let Some(mut piece) = self.outward.arrived(now_ns) {
                self.socket.encrypt(&mut piece.bytes)?;
                self.connection.sends(piece.mark);
            }
        }
        if !self.socket.is_flushed() && self.connection.end() != Some(End::Reset) {
            let socket = &mut self.socket;
            self.connection.flush(|| socket.write_some().map(|()| (socket.gone(), socket.is_flushed())))?;
        }
        Ok(())
    }
}

async fn until(due_ns: Option<u64>) {
    match due_ns {
        Some(due_ns) => sleep(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns()))).await,
        None => std::future::pending().await,
    }
}
