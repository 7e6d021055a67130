//! Drives one connection: a socket, rustls, and the state machine between them.

use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::client_certificate::ClientCertificate;
use crate::clock::monotonic_ns;
use crate::connection::{Connection, End};
use crate::shared::{Orders, Shared};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes worked through before answers are flushed.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How long a client may take over its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a closed connection's rest is read, so that the client gets to see the last answers.
const LINGER_MAX: Duration = Duration::from_millis(500);

/// Serves one connection to its end.
pub(crate) async fn serve(stream: TcpStream, tls: Arc<ServerConfig>, shared: Arc<Shared>, number: u32) {
    let Ok(peer) = stream.peer_addr() else { return };
    shared.stats.connections.fetch_add(1, Relaxed);
    if shared.stats.connections_open.fetch_add(1, Relaxed) < shared.connections_max {
        let ended = serve_counted(&stream, peer, tls, &shared, number).await;
        tracing::debug!(connection = number, ?ended, "connection ended");
    }
    shared.stats.connections_open.fetch_sub(1, Relaxed);
}

async fn serve_counted(
    stream: &TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
    shared: &Arc<Shared>,
    number: u32,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut socket = Socket::new(stream, tls).map_err(io::Error::other)?;
    let handshake = timeout(HANDSHAKE_MAX, socket.handshake()).await.unwrap_or_else(|late| Err(late.into()));
    if let Err(error) = handshake {
        shared.stats.tls_errors.fetch_add(1, Relaxed);
        let _ = socket.write_some();
        return Err(error);
    }
    let certificate = socket.client_certificate();
    let mut connection = Box::new(Connection::new(Arc::clone(shared), number, peer, certificate));
    let ended = drive(&mut socket, &mut connection, shared.orders.subscribe()).await;
    connection.close();
    if matches!(ended, Ok(End::Close)) {
        let _ = timeout(LINGER_MAX, socket.finish()).await;
    }
    if matches!(ended, Ok(End::Reset)) {
        socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
    }
    ended.map(|_| ())
}

async fn drive(
    socket: &mut Socket<'_>,
    connection: &mut Connection,
    mut orders: watch::Receiver<Orders>,
) -> io::Result<End> {
    connection.obey(*orders.borrow_and_update());
    socket.take_plaintext(connection.inbox())?;
    connection.process();
    loop {
        socket.encrypt(connection.out())?;
        if !socket.is_flushed() && connection.end() != Some(End::Reset) {
            connection.flush(|| socket.write_some().map(|()| socket.is_flushed()))?;
        }
        match connection.end() {
            Some(End::Reset) => return Ok(End::Reset),
            Some(End::Close) if socket.is_flushed() => return Ok(End::Close),
            _ => {}
        }
        let reads = connection.reads() && connection.end().is_none() && socket.is_flushed();
        tokio::select! {
            biased;
            changed = orders.changed() => {
                let orders = if changed.is_ok() { *orders.borrow_and_update() } else { Orders { stop: true, ..Orders::default() } };
                connection.obey(orders);
            }
            () = until(connection.due_ns()) => connection.process(),
            ready = socket.stream.ready(interest(reads, !socket.is_flushed())) => {
                let ready = ready?;
                if !reads && ready.is_error() {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if ready.is_readable() && reads {
                    let open = socket.read_batch(connection.inbox())?;
                    connection.process();
                    if !open {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
            }
        }
    }
}

/// Nothing wanted still waits for the peer's reset.
fn interest(reads: bool, writes: bool) -> Interest {
    match (reads, writes) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (true, false) => Interest::READABLE,
        (false, true) => Interest::WRITABLE,
        (false, false) => Interest::ERROR,
    }
}

async fn until(due_ns: Option<u64>) {
    match due_ns {
        Some(due_ns) => sleep(Duration::from_nanos(due_ns.saturating_sub(monotonic_ns()))).await,
        None => std::future::pending().await,
    }
}

/// A socket under rustls.
struct Socket<'a> {
    stream: &'a TcpStream,
    tls: ServerConnection,
    buffer: Vec<u8>,
    clean_end: bool,
}

impl<'a> Socket<'a> {
    fn new(stream: &'a TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(None);
        Ok(Self { stream, tls, buffer: vec![0; READ_BYTES], clean_end: false })
    }

    async fn handshake(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() {
            if self.tls.wants_write() {
                self.write_some()?;
            }
            self.stream.ready(interest(true, self.tls.wants_write())).await?;
            if self.tls.is_handshaking() && !self.read_handshake()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    fn read_handshake(&mut self) -> io::Result<bool> {
        match self.tls.read_tls(&mut Adapter(self.stream)) {
            Ok(0) => Ok(false),
            Ok(_) => self.tls.process_new_packets().map(|_| true).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        ClientCertificate::parse(self.tls.peer_certificates()?.first()?)
    }

    /// Reads and decrypts what is there; `false` at the client's end.
    fn read_batch(&mut self, inbox: &mut Vec<u8>) -> io::Result<bool> {
        while inbox.len() < BATCH_BYTES_MAX && !self.clean_end {
            let read = match self.stream.try_read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let mut rest = &self.buffer[..read];
            while !rest.is_empty() {
                self.tls.read_tls(&mut rest)?;
                Self::decrypt(&mut self.tls, &mut self.clean_end, inbox)?;
            }
            if read < READ_BYTES {
                break;
            }
        }
        Ok(!self.clean_end)
    }

    /// Takes what came together with the end of the handshake.
    fn take_plaintext(&mut self, inbox: &mut Vec<u8>) -> io::Result<()> {
        Self::decrypt(&mut self.tls, &mut self.clean_end, inbox)
    }

    fn decrypt(tls: &mut ServerConnection, clean_end: &mut bool, inbox: &mut Vec<u8>) -> io::Result<()> {
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let plain = state.plaintext_bytes_to_read();
        if plain > 0 {
            let start = inbox.len();
            inbox.resize(start + plain, 0);
            tls.reader().read_exact(&mut inbox[start..])?;
        }
        *clean_end |= state.peer_has_closed();
        Ok(())
    }

    fn encrypt(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !out.is_empty() {
            self.tls.writer().write_all(out)?;
            out.clear();
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        !self.tls.wants_write()
    }

    fn write_some(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Adapter(self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says goodbye and reads on until the client has gone, so that no reset overtakes the last answers.
    async fn finish(&mut self) -> io::Result<()> {
        self.tls.send_close_notify();
        self.write_some()?;
        socket2::SockRef::from(self.stream).shutdown(std::net::Shutdown::Write)?;
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A tokio socket as the blocking kind that rustls reads and writes.
struct Adapter<'a>(&'a TcpStream);

impl Read for Adapter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Adapter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
