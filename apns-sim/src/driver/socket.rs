//! A socket under rustls, without waiting: the driver says when.

use std::io::{self, Read};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};
use tokio::io::Interest;
use tokio::net::TcpStream;

use rustls_pki_types::CertificateDer;

use super::outbox::Outbox;

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// Bytes worked through before answers are flushed.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// A socket under rustls.
pub(super) struct Socket<'a> {
    pub(super) stream: &'a TcpStream,
    tls: ServerConnection,
    outbox: Outbox,
    buffer: Vec<u8>,
    clean_end: bool,
}

impl<'a> Socket<'a> {
    pub(super) fn new(stream: &'a TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(None);
        Ok(Self { stream, tls, outbox: Outbox::default(), buffer: vec![0; READ_BYTES], clean_end: false })
    }

    pub(super) async fn handshake(&mut self) -> io::Result<()> {
        while self.tls.is_handshaking() {
            self.write_some()?;
            self.stream.ready(interest(true, !self.is_flushed())).await?;
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

    /// The chain that the client showed; empty if it showed none.
    pub(super) fn client_chain(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// Reads and decrypts what is there, at most about `bytes_max`; `false` at the client's end.
    pub(super) fn read_batch(&mut self, inbox: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
        let end = inbox.len() + bytes_max.min(BATCH_BYTES_MAX);
        while inbox.len() < end && !self.clean_end {
            let piece = bytes_max.min(READ_BYTES);
            let read = match self.stream.try_read(&mut self.buffer[..piece]) {
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
            if read < piece {
                break;
            }
        }
        Ok(!self.clean_end)
    }

    /// Takes what came together with the end of the handshake.
    pub(super) fn take_plaintext(&mut self, inbox: &mut Vec<u8>) -> io::Result<()> {
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

    pub(super) fn encrypt(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !out.is_empty() {
            self.outbox.encrypt(&mut self.tls, out)?;
            out.clear();
        }
        Ok(())
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.outbox.is_empty() && !self.tls.wants_write()
    }

    /// How many of the bytes that were ever given to [`encrypt`](Self::encrypt) the system has taken.
    pub(super) fn gone(&self) -> u64 {
        self.outbox.said_and_gone()
    }

    pub(super) fn write_some(&mut self) -> io::Result<()> {
        self.outbox.take_from(&mut self.tls)?;
        let stream = self.stream;
        self.outbox.write(|bytes| stream.try_write(bytes))
    }

    /// Says goodbye and reads on until the client has gone, so that no reset overtakes the last answers.
    pub(super) async fn finish(&mut self) -> io::Result<()> {
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

/// A tokio socket as the blocking kind that rustls reads.
struct Adapter<'a>(&'a TcpStream);

impl Read for Adapter<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

/// Nothing wanted still waits for the peer's reset.
pub(super) fn interest(reads: bool, writes: bool) -> Interest {
    match (reads, writes) {
        (true, true) => Interest::READABLE | Interest::WRITABLE,
        (true, false) => Interest::READABLE,
        (false, true) => Interest::WRITABLE,
        (false, false) => Interest::ERROR,
    }
}
