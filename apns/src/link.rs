//! One live connection: the HTTP/2 machine, its TLS and its socket. Moves bytes, decides nothing.

use crate::connection::{Answered, Connection, Lost};
use crate::dial::Dialled;
use crate::stream::Stream;
use crate::tls;
use rustls::ClientConnection;
use std::io::{self, BufRead, IoSlice, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Plaintext bytes that are encrypted for one write to the socket.
const FLUSH_BYTES_MAX: usize = 256 * 1024;
/// Reads of one turn, after which others get theirs.
const READS_MAX: usize = 8;

/// Whether requests may be written now; asked right before bytes are handed to TLS.
pub(crate) type Gate = dyn Fn() -> bool;

/// One connection of a client.
pub(crate) struct Link {
    pub machine: Connection,
    pub number: u64,
    pub address: SocketAddr,
    pub opened: Instant,
    /// From this age on a successor is wanted.
    pub renew_at: Instant,
    /// At this age it retires, successor or not.
    pub expires_at: Instant,
    pub last_used: Instant,
    /// A fault of the service came on it: until then others are better.
    pub shunned_until: Instant,
    /// Why it left service needs no more thought: that was noted, or it was our will.
    pub has_left: bool,
    /// The last flush found the gate shut.
    pub is_gated: bool,
    tls: ClientConnection,
    stream: Stream,
}

impl Link {
    pub(crate) fn new(dialled: Dialled, machine: Connection, number: u64, now: Instant) -> Self {
        let Dialled { stream, mut tls, address, .. } = dialled;
        tls.set_buffer_limit(Some(FLUSH_BYTES_MAX));
        Self {
            machine,
            number,
            address,
            opened: now,
            renew_at: now,
            expires_at: now,
            last_used: now,
            shunned_until: now,
            has_left: false,
            is_gated: false,
            tls,
            stream,
        }
    }

    /// Writes what is queued, reads what has come, then does what is due: in this order, so that a late turn of ours is
    /// not taken for the peer's silence. Registers the task for whatever could not be done.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        gate: &Gate,
        buffer: &mut [u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Lost> {
        let written = self.flush(cx, gate);
        // A peer that ends the connection may have said why before: read that first.
        let mut outcome = self.read(cx, buffer, now, answers).and(written);
        if outcome.is_ok() {
            outcome = self.machine.on_timeout(now, answers);
        }
        if outcome.is_ok() {
            outcome = self.flush(cx, gate);
        }
        outcome
    }

    /// Whether it is in service without a request open.
    pub(crate) fn is_unused(&self, now: Instant) -> bool {
        !self.machine.is_retiring() && self.renew_at > now && self.machine.in_flight() == 0
    }

    /// Writes what is queued, as far as the socket takes it and the gate is open.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>, gate: &Gate) -> Result<(), Lost> {
        self.is_gated = false;
        loop {
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut Socket { stream: &mut self.stream, cx }) {
                    Ok(0) => return Err(self.cut()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(_) => return Err(self.cut()),
                }
            }
            let outgoing = self.machine.outgoing();
            if outgoing.is_empty() {
                return match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(Err(_)) => Err(self.cut()),
                    _ => Ok(()),
                };
            }
            if !gate() {
                self.is_gated = true;
                return Ok(());
            }
            let taken = self.tls.writer().write(outgoing).map_err(|_| Lost::Cut)?;
            self.machine.wrote(taken);
        }
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        now: Instant,
        answers: &mut Vec<Answered>,
    ) -> Result<(), Lost> {
        // The handshake's last read may have brought more than the handshake.
        self.take_plaintext(now, answers)?;
        for _ in 0..READS_MAX {
            let mut into = ReadBuf::new(buffer);
            match Pin::new(&mut self.stream).poll_read(cx, &mut into) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(_)) => return Err(self.cut()),
                Poll::Ready(Ok(())) if into.filled().is_empty() => return Err(self.cut()),
                Poll::Ready(Ok(())) => {}
            }
            let mut encrypted = into.filled();
            while !encrypted.is_empty() {
                self.tls.read_tls(&mut encrypted).map_err(|_| Lost::Cut)?;
                let state = self.tls.process_new_packets().map_err(|error| self.lost_by(&error));
                self.take_plaintext(now, answers)?;
                if state?.peer_has_closed() {
                    return Err(Lost::Cut);
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// The stream ended without a word of APNs.
    fn cut(&self) -> Lost {
        if self.stream.is_tunnel() { Lost::Tunnel } else { Lost::Cut }
    }

    fn lost_by(&self, error: &rustls::Error) -> Lost {
        match error {
            rustls::Error::AlertReceived(alert)
                if tls::is_about_our_certificate(*alert) && !self.machine.has_been_read() =>
            {
                Lost::CertificateRefused
            }
            _ => Lost::Cut,
        }
    }

    fn take_plaintext(&mut self, now: Instant, answers: &mut Vec<Answered>) -> Result<(), Lost> {
        let mut reader = self.tls.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(()),
                Ok(plaintext) => {
                    let len = plaintext.len();
                    let result = self.machine.recv(plaintext, now, answers);
                    reader.consume(len);
                    result.map_err(Lost::Fault)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Lost::Cut),
            }
        }
    }

    /// Answers what is open and says goodbye as far as the socket takes it at once.
    pub(crate) fn end(mut self, lost: Lost, cx: &mut Context<'_>, now: Instant, answers: &mut Vec<Answered>) {
        self.machine.close(lost, now, answers);
        // What is left holds no request, so no gate is asked; nobody waits for it, so that failing changes nothing.
        if self.flush(cx, &|| true).is_ok() {
            self.tls.send_close_notify();
            let _ = self.flush(cx, &|| true);
        }
    }
}

/// The socket as rustls wants it: what would block is an error, after the task was registered.
struct Socket<'a, 'b> {
    stream: &'a mut Stream,
    cx: &'a mut Context<'b>,
}

fn blocking<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        blocking(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
