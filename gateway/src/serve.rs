//! Serving a router: accept, TLS where wanted, HTTP/1.1 and HTTP/2, an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How long accepting pauses after it failed (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Largest read buffer of an HTTP/1 connection, so the largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// The bounds of a listener.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Most connections at once; the next one waits to be accepted.
    pub connections_max: usize,
    /// Longest wait for a request's head, from the connection or the request before; also for the TLS handshake.
    pub head_deadline: Duration,
    /// Longest wait for requests under way after the shutdown; then their connections are cut.
    pub drain_deadline: Duration,
    /// TLS, where the listener speaks it itself.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether requests are told who asks, as a [`Peer`] in their extensions.
    pub tell_peer: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            head_deadline: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(20),
            tls: None,
            tell_peer: false,
        }
    }
}

/// Serves until `shutdown`, then accepts no more, lets the requests under way end within the deadline, and returns.
///
/// # Errors
/// The listener has no address (it was never bound).
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let permits = Arc::new(Semaphore::new(options.connections_max));
    let graceful = GracefulShutdown::new();
    let tls = options.tls.clone().map(TlsAcceptor::from);
    tracing::info!(%address, tls = tls.is_some(), "listening");
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let mut router = router.clone();
                if options.tell_peer {
                    router = router.layer(axum::Extension(Peer(peer)));
                }
                let connection =
                    connect(stream, tls.clone(), router, options.head_deadline, graceful.watcher());
                tokio::spawn(async move {
                    let _permit = permit;
                    connection.await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; accepting goes on");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(options.drain_deadline, graceful.shutdown()).await.is_err() {
        tracing::warn!(deadline = ?options.drain_deadline, "requests still under way at the deadline are cut");
    }
    Ok(())
}

async fn connect(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    head_deadline: Duration,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    match tls {
        None => speak(stream, router, head_deadline, watcher).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(head_deadline, tls.accept(stream)).await {
                speak(stream, router, head_deadline, watcher).await;
            }
        }
    }
}

async fn speak<T>(stream: T, router: Router, head_deadline: Duration, watcher: Watcher)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_deadline).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(head_deadline)
        .keep_alive_timeout(head_deadline)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(error = %error, "a connection ended early");
    }
}
