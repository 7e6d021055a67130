//! One connection for rare requests: the same machine as a client's, moved by plain reads and writes.

use crate::answer::Answer;
use crate::client::ClientConfig;
use crate::connection::{Answered, Config, Connection, Lost};
use crate::credential::Credential;
use crate::dial::{DialError, Route, dial_tls};
use crate::secret::Secret;
use crate::stream::Stream;
use crate::tls;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Bytes read from the socket at once.
const READ_BUFFER_BYTES: usize = 16 * 1024;
/// Longest wait for a goodbye to leave.
const FAREWELL_MAX: Duration = Duration::from_millis(500);

pub(crate) struct QuietLink {
    pub machine: Connection,
    pub address: SocketAddr,
    pub opened: Instant,
    /// Longest wait for the socket to take a request.
    patience: Duration,
    tls: TlsStream<Stream>,
    buffer: Vec<u8>,
}

impl QuietLink {
    /// Connects. `ping_after` is the silence after which the machine pings, with requests open or not.
    pub(crate) async fn open(
        config: &ClientConfig,
        credential: &Credential,
        authorization: Option<Secret>,
        ping_after: Duration,
        turn: usize,
    ) -> Result<Self, DialError> {
        let route = Route {
            endpoint: config.endpoint.clone(),
            proxy: config.proxy.clone(),
            tls: tls::client_config(&config.roots, credential),
            timeout: config.connect_timeout,
        };
        let (tls, address) = dial_tls(&route, turn).await?;
        let opened = Instant::now();
        let machine = Connection::new(
            Config {
                number: turn as u64,
                authority: config.endpoint.authority(),
                one_stream_until_accepted: authorization.is_some(),
                authorization,
                streams_max: 1,
                request_timeout: config.request_timeout,
                settings_wait: config.connect_timeout,
                ping_after,
                ping_wait: config.connect_timeout,
                idle_ping_after: ping_after,
                refusals_max: config.refusals_max,
                deadlines_missed_max: config.deadlines_missed_max,
            },
            opened,
        );
        let patience = config.request_timeout;
        Ok(Self { machine, address, opened, patience, tls, buffer: vec![0; READ_BUFFER_BYTES] })
    }

    /// Writes what is queued, then waits for something to read or for something to be due.
    pub(crate) async fn turn(&mut self, answers: &mut Vec<Answered>) -> Result<(), Lost> {
        let due = self.machine.poll_timeout();
        // A write that fails leaves it to the read to say why: the peer may have said it.
        let written = timeout(self.patience, self.flush()).await.map_err(|_| Lost::Silent)?;
        tokio::select! {
            biased;
            read = self.tls.read(&mut self.buffer) => {
                let n = read.map_err(|error| self.lost_by(&error))?;
                if n == 0 {
                    return Err(Lost::Cut);
                }
                self.machine.recv(&self.buffer[..n], Instant::now(), answers).map_err(Lost::Fault)?;
            }
            () = tokio::time::sleep_until(due.into()) => {
                written.map_err(|error| self.lost_by(&error))?;
            }
        }
        self.machine.on_timeout(Instant::now(), answers)
    }

    /// Reads what has come by now, so that an end that came while nobody looked is seen.
    pub(crate) async fn look(&mut self, answers: &mut Vec<Answered>) -> Result<(), Lost> {
        tokio::select! {
            biased;
            turned = self.turn(answers) => turned,
            () = tokio::task::yield_now() => Ok(()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.machine.outgoing().is_empty() {
            let n = self.tls.write(self.machine.outgoing()).await?;
            self.machine.wrote(n);
        }
        self.tls.flush().await
    }

    fn lost_by(&self, error: &io::Error) -> Lost {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(alert))
                if tls::is_about_our_certificate(*alert) && !self.machine.has_been_read() =>
            {
                Lost::CertificateRefused
            }
            _ if self.tls.get_ref().0.is_tunnel() => Lost::Tunnel,
            _ => Lost::Cut,
        }
    }

    /// Ends it; what was open is answered.
    pub(crate) async fn end(mut self, lost: Lost) -> Option<Answer> {
        let mut answers = Vec::new();
        self.machine.close(lost, Instant::now(), &mut answers);
        // Nobody waits for a goodbye, so that failing changes nothing.
        let _ = timeout(FAREWELL_MAX, async {
            self.flush().await?;
            self.tls.shutdown().await
        })
        .await;
        answers.pop().map(|(_, answer)| answer)
    }
}
