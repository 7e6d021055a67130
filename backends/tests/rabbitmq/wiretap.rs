//! A relay that reads along: which AMQP methods a client says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Class and method numbers, in the order said.
type Said = Arc<Mutex<Vec<(u16, u16)>>>;

pub const CONNECTION_OPEN: (u16, u16) = (10, 40);
pub const BASIC_ACK: (u16, u16) = (60, 80);
/// `connection.close`, `channel.close`, `basic.cancel`, `basic.reject`, `basic.nack`, `basic.recover`.
pub const POLITE: [(u16, u16); 6] = [(10, 50), (20, 40), (60, 30), (60, 90), (60, 120), (60, 110)];

pub struct Wiretap {
    pub address: SocketAddr,
    pub said: Said,
    /// Becomes true when the client's side has ended, and how.
    pub ended: tokio::sync::watch::Receiver<Option<std::io::ErrorKind>>,
}

impl Wiretap {
    /// Listens to the first connection, and passes the others on.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let said = Said::default();
        let (end, ended) = tokio::sync::watch::channel(None);
        let heard = Arc::clone(&said);
        tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                while let Ok((mut client, _)) = listener.accept().await {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::spawn(
                        async move { tokio::io::copy_bidirectional(&mut client, &mut server).await },
                    );
                }
            });
            let server = TcpStream::connect(server).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            let mut pending = Vec::new();
            let mut header = 8; // the protocol header
            let how = loop {
                let mut bytes = [0; 4096];
                match from_client.read(&mut bytes).await {
                    Ok(0) => break std::io::ErrorKind::UnexpectedEof,
                    Err(e) => break e.kind(),
                    Ok(n) => {
                        pending.extend_from_slice(&bytes[..n]);
                        to_server.write_all(&bytes[..n]).await.unwrap();
                    }
                }
                let skipped = header.min(pending.len());
                pending.drain(..skipped);
                header -= skipped;
                while let Some(frame) = frame(&pending) {
                    if pending[0] == 1 {
                        let number = |at: usize| u16::from_be_bytes([pending[at], pending[at + 1]]);
                        heard.lock().unwrap().push((number(7), number(9)));
                    }
                    pending.drain(..frame);
                }
            };
            back.abort();
            end.send_replace(Some(how));
        });
        Self { address, said, ended }
    }
}

/// The length of the first whole frame: type, channel, size, payload, end.
fn frame(bytes: &[u8]) -> Option<usize> {
    let size = u32::from_be_bytes(bytes.get(3..7)?.try_into().unwrap()) as usize + 8;
    (bytes.len() >= size).then_some(size)
}
