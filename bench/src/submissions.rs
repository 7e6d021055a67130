//! The list of what was confirmed, from the producer's process to the one that checks: 40 bytes a notification.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use skein_apns_sim::checker::Confirmed;

const RECORD_BYTES: usize = 40;

/// One confirmed notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Submission {
    /// What the checker reads.
    pub(crate) confirmed: Confirmed,
    /// When it was submitted: `CLOCK_MONOTONIC`, shared by the processes of a machine.
    pub(crate) submitted_ns: u64,
}

/// Writes a list.
pub(crate) fn write(path: &Path, list: &[Submission]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for Submission { confirmed, submitted_ns } in list {
        out.write_all(&confirmed.id.to_le_bytes())?;
        for number in [confirmed.token, confirmed.sequence, *submitted_ns] {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    Ok(out.flush()?)
}

/// Reads a list.
pub(crate) fn read(path: &Path) -> Result<Vec<Submission>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    BufReader::new(file).read_to_end(&mut bytes)?;
    ensure!(bytes.len().is_multiple_of(RECORD_BYTES), "{} is torn", path.display());
    let number = |record: &[u8], at: usize| u64::from_le_bytes(std::array::from_fn(|n| record[at + n]));
    let submission = |record: &[u8]| Submission {
        confirmed: Confirmed {
            id: u128::from_le_bytes(std::array::from_fn(|n| record[n])),
            token: number(record, 16),
            sequence: number(record, 24),
        },
        submitted_ns: number(record, 32),
    };
    Ok(bytes.chunks_exact(RECORD_BYTES).map(submission).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_comes_back() {
        let list: Vec<Submission> = (0..3_u64)
            .map(|n| Submission {
                confirmed: Confirmed { id: u128::from(n) << 70 | 5, token: n + 1, sequence: n + 2 },
                submitted_ns: n + 3,
            })
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        write(file.path(), &list).unwrap();
        assert_eq!(read(file.path()).unwrap(), list);
    }
}
