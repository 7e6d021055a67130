//! What carries a connection's bytes: a socket to APNs, or a tunnel through a proxy, itself over TLS or not.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The way to APNs, once it is open. TLS to APNs runs end to end inside it.
pub(crate) enum Stream {
    /// A socket to APNs itself.
    Direct(TcpStream),
    /// A socket to a proxy.
    Tunnel(TcpStream),
    /// TLS to a proxy.
    TlsTunnel(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether a proxy is between: then an end without a word of APNs may be the proxy's.
    pub(crate) fn is_tunnel(&self) -> bool {
        !matches!(self, Stream::Direct(_))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => Pin::new(tcp).poll_read(cx, into),
            Stream::TlsTunnel(tls) => Pin::new(tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::TlsTunnel(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Stream::TlsTunnel(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => tcp.is_write_vectored(),
            Stream::TlsTunnel(tls) => tls.is_write_vectored(),
        }
    }

    /// Of TLS to a proxy, some may still be ours to hand to the socket.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::TlsTunnel(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Direct(tcp) | Stream::Tunnel(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::TlsTunnel(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
