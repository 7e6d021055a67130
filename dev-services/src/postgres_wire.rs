//! The little of PostgreSQL's wire protocol that a harness needs: connect without password, run SQL, read text.

use std::net::SocketAddr;

use anyhow::{Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A row of a result as text; `None` is NULL.
pub type Row = Vec<Option<String>>;

/// Runs `sql` (one or more statements) as `postgres` in `database` on a connection of its own.
pub(super) async fn query(address: SocketAddr, database: &str, sql: &str) -> Result<Vec<Row>> {
    let mut stream = TcpStream::connect(address).await?;
    let mut startup = 196_608_u32.to_be_bytes().to_vec();
    for word in ["user", "postgres", "database", database, "application_name", "skein-tests", ""] {
        startup.extend_from_slice(word.as_bytes());
        startup.push(0);
    }
    stream.write_all(&(startup.len() as u32 + 4).to_be_bytes()).await?;
    stream.write_all(&startup).await?;
    read_until_ready(&mut stream).await?;

    stream.write_all(b"Q").await?;
    stream.write_all(&(sql.len() as u32 + 5).to_be_bytes()).await?;
    stream.write_all(sql.as_bytes()).await?;
    stream.write_all(&[0]).await?;
    let rows = read_until_ready(&mut stream).await?;
    stream.write_all(b"X\0\0\0\x04").await?;
    Ok(rows)
}

async fn read_until_ready(stream: &mut TcpStream) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut failure = None;
    loop {
        let kind = stream.read_u8().await?;
        let length = (stream.read_u32().await? as usize).saturating_sub(4);
        ensure!(length <= MESSAGE_BYTES_MAX, "PostgreSQL sends {length} bytes in one message");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        match kind {
            b'D' => rows.push(row(&body)?),
            b'E' if String::from_utf8_lossy(&body).contains("FATAL") => {
                bail!("PostgreSQL: {}", message(&body))
            }
            b'E' => failure = Some(message(&body)),
            b'R' => ensure!(body == [0; 4], "PostgreSQL wants a password"),
            b'Z' => break,
            _ => {}
        }
    }
    match failure {
        Some(failure) => bail!("PostgreSQL: {failure}"),
        None => Ok(rows),
    }
}

fn message(fields: &[u8]) -> String {
    let texts = fields.split(|byte| *byte == 0).filter_map(|field| field.strip_prefix(b"M"));
    texts.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

fn row(body: &[u8]) -> Result<Row> {
    let mut rest = body;
    let columns = take(&mut rest, 2)?.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
    (0..columns)
        .map(|_| {
            let length = take(&mut rest, 4)?.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte));
            if length == u32::MAX {
                return Ok(None);
            }
            Ok(Some(String::from_utf8_lossy(take(&mut rest, length as usize)?).into_owned()))
        })
        .collect()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    match rest.split_at_checked(count) {
        Some((taken, left)) => {
            *rest = left;
            Ok(taken)
        }
        None => bail!("PostgreSQL's message ends early"),
    }
}
