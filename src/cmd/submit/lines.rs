//! NDJSON, read ahead of its use by a bounded number of lines: a pipe that pauses is submitted as far as it came.

use std::io;
use std::path::Path;

use skein_core::Notification;
use skein_core::wire::read_drafts;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader, stdin};
use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::wiring;

/// The longest line, in bytes.
const LINE_BYTES_MAX: u64 = 2 << 20;
/// Most lines read ahead.
const AHEAD_MAX: usize = 500;

/// One line.
#[derive(Debug)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// Where it ends in the file.
    pub end: u64,
    bytes: Vec<u8>,
}

impl Line {
    /// Its notifications; `None` if it is blank.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(&self) -> Result<Option<Vec<Notification>>, Vec<String>> {
        if self.bytes.len() as u64 > LINE_BYTES_MAX {
            return Err(vec![format!("more than {LINE_BYTES_MAX} bytes")]);
        }
        if self.bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        let faults = |faults: Vec<_>| faults.iter().map(skein_core::Fault::to_string).collect::<Vec<_>>();
        read_drafts(&self.bytes, wiring::now()).map(Some).map_err(faults)
    }
}

/// Lines to come.
pub struct Lines(mpsc::Receiver<io::Result<Line>>);

impl Lines {
    /// Opens a file, or standard input for `-`; with the file's length where it has one.
    pub async fn open(path: &Path) -> Result<(Self, Option<u64>), Failure> {
        if path == Path::new("-") {
            return Ok((Self::of(stdin()), None));
        }
        let file = File::open(path)
            .await
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
        let length = file.metadata().await.ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
        Ok((Self::of(file), length))
    }

    fn of(source: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (ahead, lines) = mpsc::channel(AHEAD_MAX);
        tokio::spawn(async move {
            let mut reader = BufReader::new(source);
            let (mut number, mut end) = (0, 0);
            loop {
                let line = next(&mut reader, &mut number, &mut end).await;
                let over = !matches!(line, Ok(Some(_)));
                if let Some(line) = line.transpose()
                    && ahead.send(line).await.is_err()
                {
                    return;
                }
                if over {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// Takes what is there: at least one line, at most `most`. `false` at the end.
    ///
    /// # Errors
    /// The source cannot be read on.
    pub async fn take(&mut self, taken: &mut Vec<Line>, most: usize) -> io::Result<bool> {
        let mut read = Vec::new();
        self.0.recv_many(&mut read, most).await;
        for line in read {
            taken.push(line?);
        }
        Ok(!taken.is_empty())
    }
}

async fn next<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
    number: &mut u64,
    end: &mut u64,
) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    let mut read = (&mut *reader).take(LINE_BYTES_MAX + 2).read_until(b'\n', &mut bytes).await? as u64;
    if read == 0 {
        return Ok(None);
    }
    // The rest of a line that is too long is read and dropped.
    let mut rest = Vec::new();
    while bytes.len() as u64 > LINE_BYTES_MAX + 1 && rest.last().or(bytes.last()) != Some(&b'\n') {
        rest.clear();
        let more = (&mut *reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut rest).await? as u64;
        if more == 0 {
            break;
        }
        read += more;
    }
    *number += 1;
    *end += read;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(Some(Line { number: *number, end: *end, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::of(io::Cursor::new(text.to_vec()));
        let mut taken = Vec::new();
        let mut before = 0;
        while lines.take(&mut taken, before + 1).await.expect("readable") && taken.len() > before {
            before = taken.len();
        }
        taken
    }

    #[tokio::test]
    async fn blank_good_and_bad_lines() {
        let text = b"\n{\"token\":\"ab\",\"topic\":\"t\",\"payload\":{}}\n{\"token\":\"zz\"}";
        let lines = all(text).await;
        assert!(matches!(lines[0].read(), Ok(None)));
        assert_eq!(lines[1].read().expect("good").expect("one").len(), 1);
        assert_eq!(lines[2].read().expect_err("bad").len(), 3);
        assert_eq!((lines[2].number, lines[2].end), (3, text.len() as u64));
    }

    /// P8: a line is bounded, and the next one is not harmed.
    #[tokio::test]
    async fn a_line_too_long_is_refused_alone() {
        let mut text = vec![b'x'; 5 << 20];
        text.extend(b"\n{\"token\":\"ab\",\"topic\":\"t\",\"payload\":{}}\n");
        let lines = all(&text).await;
        assert_eq!(lines.len(), 2);
        assert!(lines[0].read().is_err());
        assert!(lines[1].read().is_ok());
        assert_eq!(lines[1].end, text.len() as u64);
    }
}
