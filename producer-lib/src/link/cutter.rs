//! Resetting a socket under the driver that uses it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

/// A duplicate of a connection's socket, by which the connection ends at once and without a word: what the peer sees is a
/// reset (RST), as if the process had been killed.
#[derive(Debug, Clone)]
pub struct Cutter(Arc<OwnedFd>);

impl Cutter {
    /// Duplicates the socket.
    pub(super) fn of(stream: &TcpStream) -> io::Result<Self> {
        Ok(Self(Arc::new(stream.as_fd().try_clone_to_owned()?)))
    }

    /// Resets the connection; again does nothing. What the peer had not read yet is lost to it.
    pub fn cut(&self) {
        // Closing would reset only with the last duplicate, and the driver holds one: disconnecting resets now (tcp(7)).
        #[cfg(target_os = "linux")]
        if rustix::net::connect_unspec(&self.0).is_ok() {
            return;
        }
        let socket = socket2::SockRef::from(&self.0);
        let _ = socket.set_linger(Some(Duration::ZERO));
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_peer_sees_a_reset_and_the_owner_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let cutter = Cutter::of(&stream).unwrap();
        cutter.cut();
        cutter.cut();
        assert_eq!(peer.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(stream.write_all(b"good-bye").await.is_err(), "nothing can be said on it any more");
    }
}
