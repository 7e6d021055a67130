//! The producer's confirmed list as a file: one notification a line, `id token sequence`.

use std::io::{self, BufRead, Write};

use super::Confirmed;
use crate::request::{format_uuid, parse_uuid};

/// Why a confirmed list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmedError {
    /// The list cannot be read.
    #[error("the confirmed list cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not of the form.
    #[error("line {line} of the confirmed list is not `id token sequence` (a UUID, 16 hex digits, a number)")]
    Line {
        /// Counted from 1.
        line: u64,
    },
}

/// Reads a list: a UUID, the token's fingerprint in hex and the sequence, parted by blanks. Empty lines are skipped.
pub fn read_confirmed(reader: impl BufRead) -> Result<Vec<Confirmed>, ConfirmedError> {
    let mut list = Vec::new();
    for (at, text) in reader.lines().enumerate() {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        list.push(parse_line(&text).ok_or(ConfirmedError::Line { line: at as u64 + 1 })?);
    }
    Ok(list)
}

fn parse_line(text: &str) -> Option<Confirmed> {
    let mut words = text.split_ascii_whitespace();
    let confirmed = Confirmed {
        id: parse_uuid(words.next()?.as_bytes(), false)?,
        token: u64::from_str_radix(words.next()?, 16).ok()?,
        sequence: words.next()?.parse().ok()?,
    };
    words.next().is_none().then_some(confirmed)
}

/// Writes a list in the form that [`read_confirmed`] reads.
pub fn write_confirmed(list: &[Confirmed], mut out: impl Write) -> io::Result<()> {
    for confirmed in list {
        out.write_all(&format_uuid(confirmed.id))?;
        writeln!(out, " {:016x} {}", confirmed.token, confirmed.sequence)?;
    }
    out.flush()
}
