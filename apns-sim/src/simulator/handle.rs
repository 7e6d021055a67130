//! The handle to a running simulator.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::authority::Authority;
use crate::broadcast::ChannelShown;
use crate::devices::Shown;
use crate::faults::{Faults, FaultsError};
use crate::log::Snapshot;
use crate::provider_token::ProviderKey;
use crate::registry::TokenState;
use crate::shared::{Network, Shared};
use crate::stats::Counts;

/// A running simulator. Dropping it stops it.
pub struct Handle {
    pub(super) addr: SocketAddr,
    pub(super) control: Option<SocketAddr>,
    pub(super) management: Option<SocketAddr>,
    pub(super) ca_pem: String,
    pub(super) authority: Arc<Authority>,
    pub(super) shared: Arc<Shared>,
    pub(super) serving: Vec<JoinHandle<()>>,
    pub(super) log: Option<JoinHandle<io::Result<()>>>,
    pub(super) stop_log: Option<mpsc::Sender<()>>,
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where its control endpoint listens, if it has one.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// Where channel management listens, if it has a port of its own.
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.management
    }

    /// Every broadcast channel, by its app.
    pub fn channels(&self) -> BTreeMap<String, Vec<ChannelShown>> {
        self.shared.channels.shown(self.shared.wall_ms())
    }

    /// The root certificate for the clients' trust store. Of no use if an identity was given.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Issues client certificates.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The faults as they were set, phases included.
    pub fn faults(&self) -> Faults {
        Faults::clone(&self.shared.faults_with_phases())
    }

    /// Puts other faults in force, on connections that are open too.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        self.shared.set_faults(faults)
    }

    /// Adds a signing key, in place of the one with the same id and team. From the first on, only known keys are good.
    pub fn set_key(&self, key: ProviderKey) {
        self.shared.set_key(key);
    }

    /// Revokes a signing key, or takes that back; connections that have shown a good token of it go on, as with Apple.
    /// `false` if there is no such key.
    pub fn set_key_revoked(&self, key_id: &str, revoked: bool) -> bool {
        self.shared.set_key_revoked(key_id, revoked)
    }

    /// Revokes a client certificate (DER), or takes that back; open connections go on, as with Apple. `false` if
    /// [`REVOKED_MAX`](crate::REVOKED_MAX) are revoked already.
    pub fn set_certificate_revoked(&self, certificate: &[u8], revoked: bool) -> bool {
        self.shared.certificates.set_revoked(certificate, revoked)
    }

    /// The wire that is played.
    pub fn network(&self) -> Network {
        self.shared.network()
    }

    /// Plays another wire from now on: the round trip on open connections too, the window on new ones. What is out
    /// of bounds ([`RTT_MS_MAX`](crate::RTT_MS_MAX), [`WINDOW_BYTES_MIN`](crate::WINDOW_BYTES_MIN),
    /// [`WINDOW_BYTES_MAX`](crate::WINDOW_BYTES_MAX)) is brought to the bound; [`Handle::network`] tells.
    pub fn set_network(&self, network: Network) {
        self.shared.set_network(network);
    }

    /// Gives one device token, by its fingerprint, a state of its own. `false` if there is no room for another.
    pub fn set_token(&self, fingerprint: u64, state: TokenState) -> bool {
        self.shared.set_token(fingerprint, state)
    }

    /// What the device behind a token shows.
    pub fn device(&self, fingerprint: u64) -> Option<Shown> {
        self.shared.device(fingerprint)
    }

    /// Sets the device behind a token on- or offline whatever the faults say; `None` leaves it to them again. `false` if
    /// devices are not remembered, or there is no room for another.
    pub fn set_device_online(&self, fingerprint: u64, online: Option<bool>) -> bool {
        self.shared.set_device_online(fingerprint, online)
    }

    /// What happened so far, in numbers.
    pub fn stats(&self) -> Counts {
        self.shared.counts()
    }

    /// A copy of the log. With a log file it holds only what is not settled yet; read the file then.
    pub fn log(&self) -> Snapshot {
        self.shared.book.snapshot()
    }

    /// The same, of what was read at this instant of [`monotonic_ns`](crate::clock::monotonic_ns) or later, and every connection: for
    /// who looks again and again while the log grows.
    pub fn log_since(&self, read_ns: u64) -> Snapshot {
        self.shared.book.snapshot_since(read_ns)
    }

    /// Forgets log, numbers, devices and the states of single tokens; faults stay in force.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Ends every open connection with the GOAWAY that the faults describe.
    pub fn goaway_all(&self) {
        self.shared.orders.send_modify(|orders| orders.goaway += 1);
    }

    /// Resets every open connection.
    pub fn reset_all(&self) {
        self.shared.orders.send_modify(|orders| orders.reset += 1);
    }

    /// Stops: connections get their GOAWAY, threads end, the log file is complete when this returns.
    pub fn shutdown(mut self) -> io::Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> io::Result<()> {
        self.shared.orders.send_modify(|orders| orders.stop = true);
        for thread in self.serving.drain(..) {
            let _ = thread.join();
        }
        self.stop_log = None;
        match self.log.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(io::Error::other("the log's writer ended early")),
            None => Ok(()),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(%error, "the simulator's log file is not complete");
        }
    }
}
