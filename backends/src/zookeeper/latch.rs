//! The leader latch: of several monitors one leads. What the leader writes is checked against its latch in the same transaction,
//! so that a deposed one changes nothing; what it does elsewhere (a kick) is bounded by a lease on its own clock.

use std::sync::Arc;
use std::time::Duration;

use skein_core::lease::Lease;
use skein_core::seam::{Clock as _, CoordinatorError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{CheckWriteError, CheckWriter, LockPrefix, MultiWriteResult, OwnedLockClient};

use super::connection::{Session, coordinator_error};
use super::tree::MONITORS;
use crate::clock::SystemClock;

/// How many round trips fit into one lease.
const ROUND_TRIPS: u32 = 8;

/// The latch, held. Dropped, it is given back at once.
#[derive(Debug)]
pub(super) struct Latch {
    session: Session,
    lock: Arc<OwnedLockClient>,
    lease: Arc<Lease>,
    lost: watch::Receiver<Option<String>>,
    keeper: JoinHandle<()>,
}

impl Latch {
    /// Waits until this monitor leads. Cancellation safe: the place in the row is given back.
    ///
    /// # Errors
    /// When the session ends while it waits, or ZooKeeper refuses.
    pub(super) async fn acquire(session: Session, name: &str) -> Result<Self, CoordinatorError> {
        let prefix = LockPrefix::new_curator(MONITORS, "latch-").map_err(|e| coordinator_error(&e))?;
        let acls = session.acls(&format!("{MONITORS}/latch-"));
        let locking = session.client.lock(prefix, name.as_bytes(), acls);
        let lock = Arc::new(locking.await.map_err(|e| coordinator_error(&e))?.into_owned());
        let lease = Arc::new(Lease::shut());
        let (tell, lost) = watch::channel(None);
        let proof = Proof { session: session.clone(), path: lock.lock_path().to_owned() };
        proof.renew(&lease).await?;
        let keeper = tokio::spawn(keep(proof, Arc::clone(&lease), tell));
        Ok(Self { session, lock, lease, lost, keeper })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether it is certain that nobody else leads, at this moment.
    pub(super) fn is_certain(&self) -> bool {
        self.lease.is_open(SystemClock.boot())
    }

    /// Waits until this monitor does not lead any more; says why. Cancellation safe.
    pub(super) async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the lease is not kept any more".to_owned(),
        }
    }

    /// A transaction that succeeds only while this monitor leads.
    pub(super) fn writer(&self) -> CheckWriter<'_> {
        self.lock.new_check_writer()
    }

    /// Commits such a transaction.
    ///
    /// # Errors
    /// [`Commit::Deposed`] and [`Commit::Stale`] changed nothing; of [`Commit::Failed`] it may not be known.
    pub(super) async fn commit(&self, writer: CheckWriter<'_>) -> Result<Vec<MultiWriteResult>, Commit> {
        let answer = self.session.within(writer.commit()).await.map_err(Commit::Failed)?;
        answer.map_err(|error| match error {
            CheckWriteError::CheckFailed { .. } => Commit::Deposed,
            CheckWriteError::OperationFailed { index, source } => Commit::Stale(index, source),
            CheckWriteError::RequestFailed { source } => Commit::Failed(coordinator_error(&source)),
        })
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.lease.end();
        self.keeper.abort();
    }
}

/// Why a checked transaction did nothing.
#[derive(Debug)]
pub(super) enum Commit {
    /// This monitor does not lead any more.
    Deposed,
    /// The operation of this index met another state than it was planned for.
    Stale(usize, zookeeper_client::Error),
    /// ZooKeeper is away or refuses.
    Failed(CoordinatorError),
}

struct Proof {
    session: Session,
    path: String,
}

impl Proof {
    /// A round trip to ZooKeeper's own leader, and a look at the latch behind it: both began after the lease's new beginning.
    async fn renew(&self, lease: &Lease) -> Result<(), CoordinatorError> {
        let began = SystemClock.boot();
        let client = &self.session.client;
        let (synced, latch) = (client.sync(MONITORS), client.check_stat(&self.path));
        self.session.ask(synced).await?;
        if self.session.ask(latch).await?.is_none() {
            return Err(CoordinatorError::Overtaken("the latch is gone".to_owned()));
        }
        lease.renew(began, self.length());
        Ok(())
    }

    fn length(&self) -> Duration {
        let timeout = self.session.client.session_timeout();
        timeout.saturating_sub(self.session.options.lease_margin(timeout))
    }
}

async fn keep(proof: Proof, lease: Arc<Lease>, lost: watch::Sender<Option<String>>) {
    let every = (proof.length() / ROUND_TRIPS).max(Duration::from_millis(20));
    loop {
        match proof.renew(&lease).await {
            Ok(()) => {}
            // The session may yet live: the latch tells when ZooKeeper answers again.
            Err(CoordinatorError::Away(_)) if !proof.session.client.state().is_terminated() => {}
            Err(error) => {
                lease.end();
                lost.send_replace(Some(error.to_string()));
                return;
            }
        }
        tokio::time::sleep(every).await;
    }
}
