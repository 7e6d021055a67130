//! Encrypted bytes on their way into the socket, and how much of what was said has gone with them.

use std::collections::VecDeque;
use std::io::{self, Write};

use rustls::ServerConnection;

/// Bytes of one TLS record (RFC 8446 §5.1): a client reads all of a record or nothing.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Encrypted bytes on their way into the socket.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How many of them the socket has taken.
    gone: usize,
    /// For each piece of `bytes` that the client reads as a whole: where it ends, and what had been said by then.
    pieces: VecDeque<(usize, u64)>,
    /// Bytes given to be encrypted, ever.
    said: u64,
    said_and_gone: u64,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.gone == self.bytes.len()
    }

    /// How many of the bytes that were ever given to be encrypted the socket has taken, whole records only.
    pub(super) fn said_and_gone(&self) -> u64 {
        self.said_and_gone
    }

    pub(super) fn encrypt(&mut self, tls: &mut ServerConnection, plain: &[u8]) -> io::Result<()> {
        self.take_from(tls)?;
        for record in plain.chunks(RECORD_BYTES_MAX) {
            tls.writer().write_all(record)?;
            self.said += record.len() as u64;
            self.take_from(tls)?;
        }
        Ok(())
    }

    /// Takes what TLS itself has to say, too.
    pub(super) fn take_from(&mut self, tls: &mut ServerConnection) -> io::Result<()> {
        if !tls.wants_write() {
            return Ok(());
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.bytes)?;
        }
        self.pieces.push_back((self.bytes.len(), self.said));
        Ok(())
    }

    /// Writes as much as `write` takes now. An error after bytes have gone comes again with the next call.
    pub(super) fn write(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let before = self.gone;
        while self.gone < self.bytes.len() {
            match write(&self.bytes[self.gone..]) {
                Ok(taken) => self.gone += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock || self.gone > before => break,
                Err(error) => return Err(error),
            }
        }
        while let Some((_, said)) = self.pieces.pop_front_if(|(end, _)| *end <= self.gone) {
            self.said_and_gone = said;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.gone = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_told_by_whole_records() {
        let mut outbox = Outbox { bytes: vec![0; 50], ..Outbox::default() };
        outbox.pieces.extend([(20, 10), (50, 25)]);
        let mut takes = |sizes: &[usize]| {
            let mut sizes = sizes.iter();
            let written = outbox.write(|_| sizes.next().copied().ok_or(io::ErrorKind::BrokenPipe.into()));
            (written.is_ok(), outbox.said_and_gone(), outbox.is_empty())
        };
        assert_eq!(takes(&[19]), (true, 0, false), "an error after bytes have gone waits");
        assert_eq!(takes(&[]), (false, 0, false));
        assert_eq!(takes(&[1, 29]), (true, 10, false));
        assert_eq!(takes(&[1]), (true, 25, true));
    }
}
