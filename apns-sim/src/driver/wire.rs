//! A long wire: bytes that are on their way for half a round trip, in each direction, in order.

use std::collections::VecDeque;

/// Bytes that one direction of a connection may hold; beyond, nothing more is read until some have arrived.
pub(super) const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes with the time at which they arrive, and what goes with them.
pub(super) struct Piece<M> {
    due_ns: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) mark: M,
}

/// One direction.
pub(super) struct Line<M> {
    pieces: VecDeque<Piece<M>>,
    held_bytes: usize,
}

impl<M> Line<M> {
    pub(super) fn new() -> Self {
        Self { pieces: VecDeque::new(), held_bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= HELD_BYTES_MAX
    }

    /// Bytes on their way until `due_ns`; never before those that left earlier, however the round trip changes.
    pub(super) fn send(&mut self, due_ns: u64, bytes: Vec<u8>, mark: M) {
        let due_ns = self.pieces.back().map_or(due_ns, |last| due_ns.max(last.due_ns));
        self.held_bytes += bytes.len();
        self.pieces.push_back(Piece { due_ns, bytes, mark });
    }

    /// When the next bytes arrive.
    pub(super) fn due_ns(&self) -> Option<u64> {
        self.pieces.front().map(|piece| piece.due_ns)
    }

    /// The next bytes that have arrived.
    pub(super) fn arrived(&mut self, now_ns: u64) -> Option<Piece<M>> {
        let piece = self.pieces.pop_front_if(|piece| piece.due_ns <= now_ns)?;
        self.held_bytes -= piece.bytes.len();
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_although_the_wire_gets_shorter() {
        let mut line = Line::new();
        line.send(100, vec![1], 'a');
        line.send(40, vec![2; HELD_BYTES_MAX], 'b');
        assert!(line.is_full());
        assert_eq!(line.due_ns(), Some(100));
        assert!(line.arrived(99).is_none());
        assert_eq!(line.arrived(100).map(|piece| piece.mark), Some('a'));
        assert_eq!(line.arrived(100).map(|piece| piece.mark), Some('b'));
        assert!(line.is_empty() && !line.is_full() && line.due_ns().is_none());
    }
}
