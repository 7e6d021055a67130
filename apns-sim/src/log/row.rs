//! One row of the log: one request as it was read, and what became of it.

use crate::reason::Reason;
use crate::request::format_uuid;

/// One request. 64 bytes, so that a million of them cost 64 MB.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row {
    id: u128,
    token: u64,
    sequence: u64,
    read_ns: u64,
    written_ns: u64,
    connection: u32,
    status: u16,
    reason: u8,
    flags: u8,
}

const NO_SEQUENCE: u64 = u64::MAX;
const DELIVERED: u8 = 1;
const REFUSED: u8 = 2;

/// What a row is made of; see the accessors of [`Row`].
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "each field is told by the accessor of the same name")]
pub struct NewRow {
    pub id: u128,
    pub token: u64,
    pub sequence: Option<u64>,
    pub connection: u32,
    pub read_ns: u64,
    pub status: Option<u16>,
    pub reason: Option<Reason>,
    pub written_ns: Option<u64>,
    pub delivered: bool,
    pub refused: bool,
}

impl From<NewRow> for Row {
    fn from(row: NewRow) -> Self {
        Self {
            id: row.id,
            token: row.token,
            sequence: row.sequence.unwrap_or(NO_SEQUENCE),
            read_ns: row.read_ns,
            written_ns: row.written_ns.unwrap_or(0),
            connection: row.connection,
            status: row.status.unwrap_or(0),
            reason: row.reason.map_or(0, Reason::code),
            flags: if row.delivered { DELIVERED } else { 0 } | if row.refused { REFUSED } else { 0 },
        }
    }
}

impl Row {
    /// The `apns-id` as a number, sent or generated; 0 if it was malformed.
    pub fn id(&self) -> u128 {
        self.id
    }

    /// The [`fingerprint`](crate::fingerprint::fingerprint) of the device token; 0 if there was none.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The producer's sequence, from the payload key `skein_seq`.
    pub fn sequence(&self) -> Option<u64> {
        (self.sequence != NO_SEQUENCE).then_some(self.sequence)
    }

    /// The number of the connection it came on, counted from 0 in order of acceptance.
    pub fn connection(&self) -> u32 {
        self.connection
    }

    /// When it was read: `CLOCK_MONOTONIC` nanoseconds, growing within a connection.
    pub fn read_ns(&self) -> u64 {
        self.read_ns
    }

    /// The answer's status; `None` if none was decided.
    pub fn status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// The answer's reason.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.reason)
    }

    /// When the answer's last byte went to the socket, taken just before; `None` if it never did.
    pub fn written_ns(&self) -> Option<u64> {
        (self.written_ns != 0).then_some(self.written_ns)
    }

    /// How long the simulator had it, from reading to writing: its faults' delays and both halves of the round trip it
    /// plays. What a client measures beyond that is its own and the machine's. `None` if it was never answered.
    pub fn hold_ns(&self) -> Option<u64> {
        self.written_ns().map(|at| at.saturating_sub(self.read_ns))
    }

    /// Whether the device got it.
    pub fn delivered(&self) -> bool {
        self.flags & DELIVERED != 0
    }

    /// Whether the client was told, by `REFUSED_STREAM` or a last-stream-id, that it was not processed.
    pub fn refused(&self) -> bool {
        self.flags & REFUSED != 0
    }

    pub(crate) fn answer(&mut self, status: u16, reason: Option<Reason>, delivered: bool) {
        self.status = status;
        self.reason = reason.map_or(0, Reason::code);
        self.flags |= if delivered { DELIVERED } else { 0 };
    }

    pub(crate) fn mark_refused(&mut self) {
        self.flags |= REFUSED;
    }

    pub(crate) fn mark_written(&mut self, at_ns: u64) {
        self.written_ns = at_ns;
    }

    /// Nothing more will happen to it while its connection lives.
    pub(crate) fn is_settled(&self) -> bool {
        self.written_ns != 0 || self.refused()
    }

    pub(super) fn encode(&self, index: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&[super::file::KIND_ROW, self.flags]);
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.connection.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&[self.reason, 0, 0, 0]);
        out.extend_from_slice(&self.id.to_le_bytes());
        for number in [self.token, self.sequence, self.read_ns, self.written_ns] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// The inverse of `encode`: the row and its index within its connection.
    pub(super) fn decode(record: &[u8; 64]) -> (u32, Self) {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| record[at + n]));
        let short = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| record[at + n]));
        let row = Self {
            id: u128::from_le_bytes(std::array::from_fn(|n| record[16 + n])),
            token: number(32),
            sequence: number(40),
            read_ns: number(48),
            written_ns: number(56),
            connection: short(4),
            status: u16::from_le_bytes([record[2], record[3]]),
            reason: record[12],
            flags: record[1],
        };
        (short(8), row)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row")
            .field("id", &id_text(self.id))
            .field("token", &format_args!("{:016x}", self.token))
            .field("sequence", &self.sequence())
            .field("connection", &self.connection)
            .field("read_ns", &self.read_ns)
            .field("status", &self.status())
            .field("reason", &self.reason().map(Reason::label))
            .field("written_ns", &self.written_ns())
            .field("delivered", &self.delivered())
            .field("refused", &self.refused())
            .finish()
    }
}

pub(crate) fn id_text(id: u128) -> String {
    String::from_utf8_lossy(&format_uuid(id)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_64_bytes_in_memory_and_in_the_file() {
        assert_eq!(size_of::<Row>(), 64);
        let row = Row::from(NewRow {
            id: u128::MAX / 7,
            token: 0xabcd,
            sequence: Some(9),
            connection: 3,
            read_ns: 1234,
            status: Some(410),
            reason: Some(Reason::Unregistered),
            written_ns: Some(1300),
            delivered: true,
            refused: false,
        });
        let mut out = Vec::new();
        row.encode(77, &mut out);
        assert_eq!(out.len(), 64);
        assert_eq!(Row::decode(out.as_slice().try_into().expect("64 bytes")), (77, row));
    }
}
