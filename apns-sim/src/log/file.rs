//! The log as a file: records of 64 bytes, the last one of a row wins; and the same as NDJSON.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::book::{Book, Connection, Snapshot};
use super::row::{Row, id_text};
use crate::reason::Reason;

pub(super) const KIND_ROW: u8 = 1;
const KIND_CONNECTION: u8 = 2;
const KIND_DROPPED: u8 = 3;
const MAGIC: &[u8; 8] = b"SKEINLOG";
const VERSION: u32 = 1;
const RECORD_BYTES: usize = 64;

/// Why a log file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogFileError {
    /// The file cannot be opened or read.
    #[error("the log file cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It does not begin like a log of this version.
    #[error("this is no simulator log of version {VERSION}")]
    NotALog,
}

pub(super) fn encode_connection(connection: &Connection, out: &mut Vec<u8>) {
    let start = out.len();
    let ip = match connection.peer.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    out.extend_from_slice(&[KIND_CONNECTION, 0]);
    out.extend_from_slice(&connection.peer.port().to_le_bytes());
    out.extend_from_slice(&connection.number.to_le_bytes());
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&connection.opened_ns.to_le_bytes());
    out.extend_from_slice(&connection.closed_ns.unwrap_or(0).to_le_bytes());
    out.resize(start + RECORD_BYTES, 0);
}

fn decode_connection(record: &[u8; RECORD_BYTES]) -> Connection {
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| record[at + n]));
    let ip = Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|n| record[8 + n])).to_canonical();
    Connection {
        number: u32::from_le_bytes(std::array::from_fn(|n| record[4 + n])),
        peer: SocketAddr::new(ip, u16::from_le_bytes([record[2], record[3]])),
        opened_ns: number(24),
        closed_ns: Some(number(32)).filter(|at| *at != 0),
    }
}

/// Writes the book's changes to `file` every [`FLUSH_MS`](super::FLUSH_MS) milliseconds until `stop` hangs up, and
/// then once more.
pub(crate) fn write_changes(book: &Arc<Book>, mut file: impl Write, stop: &Receiver<()>) -> io::Result<()> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&0_u32.to_le_bytes());
    out.extend_from_slice(&book.wall_offset_ms.to_le_bytes());
    out.resize(RECORD_BYTES, 0);
    let mut dropped_before = 0;
    loop {
        let ended = match stop.recv_timeout(Duration::from_millis(super::FLUSH_MS)) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        book.drain_changes(&mut out);
        let dropped = book.dropped();
        if dropped != dropped_before {
            let start = out.len();
            out.extend_from_slice(&[KIND_DROPPED, 0, 0, 0, 0, 0, 0, 0]);
            out.extend_from_slice(&dropped.to_le_bytes());
            out.resize(start + RECORD_BYTES, 0);
            dropped_before = dropped;
        }
        file.write_all(&out)?;
        file.flush()?;
        out.clear();
        if ended {
            return Ok(());
        }
    }
}

/// Reads a log file, also one whose writer was killed: a torn last record is ignored.
pub fn read_file(path: &Path) -> Result<Snapshot, LogFileError> {
    let mut reader = io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?);
    let mut record = [0; RECORD_BYTES];
    if !read_record(&mut reader, &mut record)?
        || record[..8] != *MAGIC
        || record[8..12] != VERSION.to_le_bytes()
    {
        return Err(LogFileError::NotALog);
    }
    let wall_offset_ms = u64::from_le_bytes(std::array::from_fn(|n| record[16 + n]));
    let mut snapshot = Snapshot { wall_offset_ms, ..Snapshot::default() };
    let mut rows: HashMap<(u32, u32), usize> = HashMap::new();
    let mut connections: HashMap<u32, Connection> = HashMap::new();
    while read_record(&mut reader, &mut record)? {
        match record[0] {
            KIND_ROW => {
                let (number, row) = Row::decode(&record);
                let place = rows.entry((row.connection(), number)).or_insert(snapshot.rows.len());
                match snapshot.rows.get_mut(*place) {
                    Some(earlier) => *earlier = row,
                    None => snapshot.rows.push(row),
                }
                if row.is_settled() {
                    rows.remove(&(row.connection(), number));
                }
            }
            KIND_CONNECTION => {
                let connection = decode_connection(&record);
                connections.insert(connection.number, connection);
            }
            KIND_DROPPED => snapshot.dropped = u64::from_le_bytes(std::array::from_fn(|n| record[8 + n])),
            _ => {}
        }
    }
    snapshot.connections = connections.into_values().collect();
    snapshot.sort();
    Ok(snapshot)
}

fn read_record(reader: &mut impl BufRead, record: &mut [u8; RECORD_BYTES]) -> io::Result<bool> {
    let mut have = 0;
    while have < RECORD_BYTES {
        match reader.read(&mut record[have..]) {
            Ok(0) => return Ok(false),
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes a log as NDJSON, one object a row, in the order of reading.
pub fn write_ndjson(snapshot: &Snapshot, mut out: impl Write) -> io::Result<()> {
    let peers: HashMap<u32, SocketAddr> =
        snapshot.connections.iter().map(|connection| (connection.number, connection.peer)).collect();
    for row in &snapshot.rows {
        let line = serde_json::json!({
            "id": id_text(row.id()),
            "token": format!("{:016x}", row.token()),
            "seq": row.sequence(),
            "connection": row.connection(),
            "peer": peers.get(&row.connection()).map(ToString::to_string),
            "read_ns": row.read_ns(),
            "read_ms": snapshot.read_wall_ms(row),
            "status": row.status(),
            "reason": row.reason().map(Reason::label),
            "written_ns": row.written_ns(),
            "hold_ns": row.hold_ns(),
            "delivered": row.delivered(),
            "refused": row.refused(),
        });
        writeln!(out, "{line}")?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{LogMode, NewRow};

    #[test]
    fn a_killed_writers_file_can_be_read() {
        let book = Arc::new(Book::new(&LogMode::File { path: "unused".into(), rows_max: 100 }));
        let peer = SocketAddr::from(([127, 0, 0, 1], 4242));
        let shard = book.open(0, peer).expect("on");
        let row = |read_ns| NewRow { id: u128::from(read_ns), read_ns, ..NewRow::default() }.into();
        let mut out = Vec::new();
        let (stop, stopped) = std::sync::mpsc::channel();
        drop(stop);
        shard.append(&book, 0, &[row(1), row(2)]);
        write_changes(&book, &mut out, &stopped).expect("memory");
        shard.update(&book, [1].into_iter(), |_, row| {
            row.answer(200, None, true);
            row.mark_written(7);
        });
        shard.append(&book, 2, &[row(3)]);
        shard.close();
        let mut more = Vec::new();
        book.drain_changes(&mut more);
        out.extend_from_slice(&more);
        out.extend_from_slice(&[KIND_ROW; 13]);

        let path = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(path.path(), &out).expect("written");
        let snapshot = read_file(path.path()).expect("readable");
        assert_eq!(snapshot.rows.iter().map(Row::read_ns).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(snapshot.rows[1].status(), Some(200));
        assert_eq!(snapshot.rows[0].status(), None);
        assert_eq!(snapshot.connections[0].peer, peer);
        assert!(snapshot.connections[0].closed_ns.is_some());
        assert!(book.snapshot().rows.is_empty(), "settled rows do not stay in memory");

        let mut text = Vec::new();
        write_ndjson(&snapshot, &mut text).expect("memory");
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), 3);
        std::fs::write(path.path(), b"no log").expect("written");
        assert!(matches!(read_file(path.path()), Err(LogFileError::NotALog)));
    }
}
