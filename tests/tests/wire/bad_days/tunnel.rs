//! A proxy that opens tunnels (CONNECT) to this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

pub struct Tunnels {
    pub port: u16,
    pub opened: Arc<AtomicU64>,
}

/// Serves as long as the runtime lives.
pub async fn start() -> Tunnels {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let opened = Arc::new(AtomicU64::new(0));
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let count = count.clone();
            // How a tunnel ends is its ends' doing.
            tokio::spawn(async move { tunnel(client, &count).await.ok() });
        }
    });
    Tunnels { port, opened }
}

async fn tunnel(client: TcpStream, opened: &AtomicU64) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    let mut line = String::new();
    client.read_line(&mut line).await?;
    let port = line.split(' ').nth(1).and_then(|to| to.rsplit(':').next()?.parse::<u16>().ok()).unwrap();
    while line.trim_end() != "" {
        line.clear();
        client.read_line(&mut line).await?;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    opened.fetch_add(1, Ordering::Relaxed);
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
