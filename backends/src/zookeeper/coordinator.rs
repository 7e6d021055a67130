//! A sender's coordinator over ZooKeeper.

use std::collections::BTreeMap;
use std::sync::Arc;

use skein_core::fleet::{Incarnation, Member, MemberId, Owner, QueueAssignment};
use skein_core::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Word};
use skein_core::slot::SlotMap;
use skein_core::{PoolName, QueueName};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{Error, Stat};

use super::connection::{Connection, Session, coordinator_error};
use super::live_watch::LiveWatch;
use super::membership;
use super::nodes::{Transaction as _, from_json, to_json};
use super::options::ZooKeeperOptions;
use super::seat::Seat;
use super::tree;

/// How often a word is said again when the record changed between reading and writing it.
const TRIES: u32 = 8;

/// A sender's seat in a fleet that ZooKeeper keeps. Dropped, its session ends, and with it its membership.
#[derive(Debug)]
pub struct ZooKeeperCoordinator {
    connection: Arc<Connection>,
    seat: Arc<Seat>,
    keeper: JoinHandle<()>,
}

impl ZooKeeperCoordinator {
    /// Begins to join as this member, and takes the place of an earlier life of it. `slots`: how the slots of each pool are bound to
    /// its queues; queues of other pools are never its own. Must be called within a runtime.
    pub fn join(options: ZooKeeperOptions, member: Member, slots: BTreeMap<PoolName, SlotMap>) -> Self {
        Self::join_after(options, member, Vec::new(), slots)
    }

    /// The same, where these earlier lives of the member are dead for sure: nothing that they had attached can write any more. What
    /// they owned is claimed with the place itself.
    pub fn join_after(
        options: ZooKeeperOptions,
        member: Member,
        dead: Vec<Incarnation>,
        slots: BTreeMap<PoolName, SlotMap>,
    ) -> Self {
        let connection = Arc::new(Connection::open(Arc::new(options)));
        let seat = Arc::new(Seat::new(member, dead, slots));
        let keeper = tokio::spawn(membership::keep(connection.link(), Arc::clone(&seat)));
        Self { connection, seat, keeper }
    }

    /// Begins to follow the live settings, over this sender's session.
    pub fn live(&self) -> LiveWatch {
        LiveWatch::start(Arc::clone(&self.connection), "sender", self.seat.me.member.as_str())
    }

    /// Who this sender is.
    pub fn me(&self) -> &Owner {
        &self.seat.me
    }

    /// Waits until somebody has taken this life's place and nothing is its own any more: it should end. Cancellation safe.
    pub async fn succeeded(&self) -> Owner {
        let (mut by, mut own) = (self.seat.succeeded.subscribe(), self.seat.assignment.subscribe());
        loop {
            let (by_now, owns) = (by.borrow_and_update().clone(), !own.borrow_and_update().queues.is_empty());
            if let Some(by) = by_now.filter(|_| !owns) {
                return by;
            }
            // Both senders live as long as the seat.
            tokio::select! { _ = by.changed() => {}, _ = own.changed() => {} }
        }
    }

    /// The present life of a member; `None` if it is not there.
    ///
    /// # Errors
    /// When ZooKeeper is away or refuses.
    pub async fn life_of(&self, member: &MemberId) -> Result<Option<Owner>, CoordinatorError> {
        let path = tree::member(member);
        let Some((data, _)) = self.connection.session()?.latest(&path).await? else { return Ok(None) };
        Ok(Some(from_json::<Member>(&path, &data)?.owner()))
    }

    /// Says an owner's word, checked against the record it is said of.
    async fn say(
        &self,
        queue: &QueueName,
        word: Word,
        epoch: u64,
    ) -> Result<QueueAssignment, CoordinatorError> {
        if let Standing::Replaced(other) = &*self.seat.standing.borrow() {
            return Err(CoordinatorError::Overtaken(format!("{other} has taken this member's place")));
        }
        let session = self.connection.session()?;
        let path = tree::queue(queue);
        for _ in 0..TRIES {
            // Whom it is left for is read together with the queue; another one, named meanwhile, gets it from the monitor.
            let named = match word {
                Word::Released { .. } => self.seat.successor(queue),
                Word::Settled | Word::Reclaimed { .. } => None,
            };
            let (queue_read, heir) = tokio::join!(session.latest(&path), heir(&session, named));
            let Some((data, stat)) = queue_read? else {
                return Err(CoordinatorError::Refused(format!("there is no queue {queue}")));
            };
            let stored: QueueAssignment = from_json(&path, &data)?;
            let (said, stat) = match word.of(&self.seat.me, epoch, &stored, heir?)? {
                None => (stored, stat),
                Some(next) => match self.write(&session, &path, &next, stat.version).await? {
                    Some(stat) => (next, stat),
                    None => continue,
                },
            };
            self.seat.learn([(said.clone(), stat.mzxid)]);
            return Ok(said);
        }
        Err(CoordinatorError::Away(format!("{queue} changes all the time")))
    }

    /// Writes a record if its version is still the one that was read, and lets the monitors look, and whoever owns the queue now;
    /// `None` if it is not.
    async fn write(
        &self,
        session: &Session,
        path: &str,
        next: &QueueAssignment,
        version: i32,
    ) -> Result<Option<Stat>, CoordinatorError> {
        let mut writer = session.client.new_multi_writer();
        writer.set(path, &to_json(next)?, Some(version))?;
        writer.set(tree::BELL, b"", None)?;
        if let Some(owner) = next.owner.as_ref().filter(|owner| owner.member != self.seat.me.member) {
            writer.set(&tree::call(&owner.member), b"", None)?;
        }
        match session.commit(writer).await? {
            Ok(results) => match results.into_iter().next() {
                Some(zookeeper_client::MultiWriteResult::SetData { stat }) => Ok(Some(stat)),
                _ => Err(CoordinatorError::Away("the answer does not tell what was written".to_owned())),
            },
            Err(Error::BadVersion) => Ok(None),
            Err(error) => Err(coordinator_error(&error)),
        }
    }
}

/// The present life of a member that is there and stays.
async fn heir(session: &Session, named: Option<MemberId>) -> Result<Option<Owner>, CoordinatorError> {
    let Some(id) = named else { return Ok(None) };
    let path = tree::member(&id);
    let member = match session.within(session.client.get_data(&path)).await? {
        Ok((data, _)) => from_json::<Member>(&path, &data)?,
        Err(Error::NoNode) => return Ok(None),
        Err(error) => return Err(coordinator_error(&error)),
    };
    Ok((!member.draining).then(|| member.owner()))
}

impl Drop for ZooKeeperCoordinator {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Coordinator for ZooKeeperCoordinator {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        self.seat.assignment.subscribe()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.seat.standing.subscribe()
    }

    fn describe(&self, member: Member) {
        let Owner { member: id, incarnation } = self.seat.me.clone();
        self.seat.described.send_replace(Member { id, incarnation, ..member });
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.say(queue, Word::Settled, epoch).await.map(drop)
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        self.say(queue, Word::Released { clean }, epoch).await.map(drop)
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        let claimed = self.say(queue, Word::Reclaimed { predecessor_dead }, epoch).await?;
        let owned = self.seat.owned(&claimed);
        owned.ok_or_else(|| CoordinatorError::Refused(format!("no settings for the pool of {queue}")))
    }

    async fn leave(&self) {
        self.keeper.abort();
        let Ok(session) = self.connection.session() else { return };
        if let Err(error) = membership::leave(&session, &self.seat).await {
            tracing::debug!(%error, "the coordinator was not told of this end; the session's end will tell");
        }
    }
}
