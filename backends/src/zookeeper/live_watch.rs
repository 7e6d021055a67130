//! A process follows the live settings, and says which of them it has in force.
//!
//! Level-based like membership: at each event, after each reconnect and every few seconds the document is read again. While
//! ZooKeeper is away, what was read last stands.

use std::sync::Arc;
use std::time::Duration;

use skein_core::seam::CoordinatorError;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zookeeper_client::{CreateMode, Error, OneshotWatcher};

use super::connection::{Backoff, Connection, Link, Session, coordinator_error};
use super::live::{InForce, LiveVersion, Refused};
use super::nodes::to_json;
use super::tree;

/// How often the document is read again without an event.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// A process' view on the live settings. Dropped, it is followed no longer and what it said is taken back.
#[derive(Debug)]
pub struct LiveWatch {
    seen: watch::Receiver<Option<LiveVersion>>,
    said: watch::Sender<Option<InForce>>,
    me: InForce,
    keeper: JoinHandle<()>,
}

impl LiveWatch {
    pub(super) fn start(connection: Arc<Connection>, role: &str, name: &str) -> Self {
        let me = InForce { role: role.into(), name: name.into(), ..InForce::default() };
        let said = watch::Sender::new(None);
        let (told, seen) = watch::channel(None);
        let keeper = tokio::spawn(keep(connection, told, said.subscribe()));
        Self { seen, said, me, keeper }
    }

    /// Waits for a version that was not given yet. Cancellation safe.
    pub async fn changed(&mut self) -> LiveVersion {
        loop {
            if self.seen.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(version) = self.seen.borrow_and_update().clone() {
                return version;
            }
        }
    }

    /// Says what this process goes by from now on, and what it refuses.
    pub fn say(&self, version: u64, refused: Option<Refused>) {
        self.said.send_replace(Some(InForce { version, refused, ..self.me.clone() }));
    }
}

impl Drop for LiveWatch {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(
    connection: Arc<Connection>,
    told: watch::Sender<Option<LiveVersion>>,
    mut said: watch::Receiver<Option<InForce>>,
) {
    let mut link = connection.link();
    loop {
        let state = link.borrow_and_update().clone();
        let serving = async {
            let Link::Up(session) = state else { return std::future::pending().await };
            let mut backoff = Backoff::new(session.options.backoff);
            loop {
                if let Err(error) = serve(&session, &told, &mut said).await {
                    tracing::debug!(%error, "the live settings are not followed now; what was read last stands");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        };
        tokio::select! {
            () = serving => {}
            changed = link.changed() => if changed.is_err() { return },
        }
    }
}

async fn serve(
    session: &Session,
    told: &watch::Sender<Option<LiveVersion>>,
    said: &mut watch::Receiver<Option<InForce>>,
) -> Result<(), CoordinatorError> {
    let mut again = tokio::time::interval_at(Instant::now() + READ_AGAIN, READ_AGAIN);
    let mut event = Box::pin(changed(read(session, told).await?));
    // What an earlier session said ended with it.
    let mut published = None;
    loop {
        let now = said.borrow_and_update().clone();
        if let Some(word) = now.as_ref().filter(|_| now != published) {
            publish(session, word).await?;
            published = now;
        }
        let look = tokio::select! {
            () = &mut event => true,
            _ = again.tick() => true,
            Ok(()) = said.changed() => false,
        };
        if look {
            event = Box::pin(changed(read(session, told).await?));
        }
    }
}

async fn changed(watcher: Option<OneshotWatcher>) {
    match watcher {
        Some(watcher) => drop(watcher.changed().await),
        None => std::future::pending().await,
    }
}

/// Reads the document and sets the watch; none where the tree is of an older version, whose fleet has no live settings.
async fn read(
    session: &Session,
    told: &watch::Sender<Option<LiveVersion>>,
) -> Result<Option<OneshotWatcher>, CoordinatorError> {
    let (synced, read) = (session.client.sync(tree::LIVE), session.client.get_and_watch_data(tree::LIVE));
    session.ask(synced).await?;
    let (data, stat, watcher) = match session.within(read).await? {
        Ok(read) => read,
        Err(Error::NoNode) => return Ok(None),
        Err(error) => return Err(coordinator_error(&error)),
    };
    let version = LiveVersion::read(stat.version, &data);
    told.send_if_modified(|known| {
        let new = known.as_ref() != Some(&version);
        if new {
            *known = Some(version);
        }
        new
    });
    Ok(Some(watcher))
}

/// Puts what is said in place of what an earlier session of this process said, which would end with that session.
async fn publish(session: &Session, said: &InForce) -> Result<(), CoordinatorError> {
    let (path, data) = (tree::live_in_force(&said.role, &said.name), to_json(said)?);
    let there = session.ask(session.client.check_stat(&path)).await?;
    if there.is_some_and(|stat| stat.ephemeral_owner == session.client.session_id().0) {
        return session.ask(session.client.set_data(&path, &data, None)).await.map(drop);
    }
    match session.within(session.client.delete(&path, None)).await? {
        Ok(()) | Err(Error::NoNode) => {}
        Err(error) => return Err(coordinator_error(&error)),
    }
    let options = session.creating(&path, CreateMode::Ephemeral);
    match session.within(session.client.create(&path, &data, &options)).await? {
        // A tree of an older version has no place for it; what is set live is followed all the same.
        Ok(_) | Err(Error::NoNode) => Ok(()),
        Err(error) => Err(coordinator_error(&error)),
    }
}
