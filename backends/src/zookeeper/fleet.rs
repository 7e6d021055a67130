//! The fleet as monitors and commands see it in ZooKeeper.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use skein_core::fleet::{
    Because, Decided, Decision, Keep, Load, Member, MemberId, Policy, Quarantine, QueueAssignment, Wanted,
    Wish, WishId,
};
use skein_core::seam::{CoordinatorError, FleetStore, FleetView, Standing, StoredQueue, wishes_max};
use skein_core::{PoolName, QueueName};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use zookeeper_client::{CreateMode, Error, MultiWriteResult, OneshotWatcher, Stat};

use super::connection::{Connection, Link, Session, coordinator_error};
use super::decisions;
use super::latch::Latch;
use super::lead::ZooKeeperLead;
use super::live::LiveVersion;
use super::live_watch::LiveWatch;
use super::nodes::{Node, Transaction as _, from_json, to_json};
use super::options::ZooKeeperOptions;
use super::tree;

/// A handle on the fleet's store in ZooKeeper.
#[derive(Debug)]
pub struct ZooKeeperFleet {
    name: String,
    connection: Arc<Connection>,
    session_timeout: Duration,
    news: Arc<Notify>,
    watching: Mutex<Option<JoinHandle<()>>>,
}

impl ZooKeeperFleet {
    /// Begins to connect. `name` is what others see of this monitor in the row of those that would lead. Must be called within a
    /// runtime.
    pub fn connect(options: ZooKeeperOptions, name: impl Into<String>) -> Self {
        let session_timeout = options.session_timeout;
        Self {
            name: name.into(),
            connection: Arc::new(Connection::open(Arc::new(options))),
            session_timeout,
            news: Arc::new(Notify::new()),
            watching: Mutex::new(None),
        }
    }

    /// Whether ZooKeeper answers this handle: [`Standing::Joined`] or [`Standing::Away`].
    pub fn standing(&self) -> Standing {
        match &*self.connection.link().borrow() {
            Link::Up(_) => Standing::Joined,
            Link::Away(since, why) | Link::Refused(since, why) => {
                Standing::Away { since: *since, why: why.clone() }
            }
        }
    }

    /// Begins to follow the live settings as this monitor, over this session.
    pub fn live(&self) -> LiveWatch {
        LiveWatch::start(Arc::clone(&self.connection), "monitor", &self.name)
    }

    /// The live settings as they are now.
    ///
    /// # Errors
    /// [`CoordinatorError`]; `Refused` where the tree has no place for them.
    pub async fn live_version(&self) -> Result<LiveVersion, CoordinatorError> {
        LiveVersion::latest(&self.session().await?).await
    }

    async fn row(&self) -> Result<Vec<String>, CoordinatorError> {
        let session = self.session().await?;
        let mut latches = session.children(tree::MONITORS).await?;
        latches.sort_by(|a, b| number_of(a).cmp(number_of(b)));
        let paths: Vec<String> = latches.iter().map(|latch| format!("{}/{latch}", tree::MONITORS)).collect();
        let nodes = session.read_all(&paths).await?;
        Ok(nodes.into_iter().flatten().map(|(data, _)| String::from_utf8_lossy(&data).into_owned()).collect())
    }

    /// The session, waited for as long as one may take to be made.
    async fn session(&self) -> Result<Session, CoordinatorError> {
        self.connection.connected(self.session_timeout).await
    }

    /// Tells [`FleetStore::changed`] once, when one of these or the connection has news.
    fn watch(&self, watchers: Option<(OneshotWatcher, OneshotWatcher)>) {
        let (news, mut link) = (Arc::clone(&self.news), self.connection.link());
        link.mark_unchanged();
        let task = tokio::spawn(async move {
            let event = async {
                match watchers {
                    Some((bell, members)) => {
                        tokio::select! { _ = bell.changed() => {}, _ = members.changed() => {} }
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = event => {}, _ = link.changed() => {} }
            news.notify_one();
        });
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = watching.replace(task) {
            before.abort();
        }
    }

    async fn view(&self, session: &Session) -> Result<FleetView, CoordinatorError> {
        let client = &session.client;
        // Sent before anything is read: what changes from here on is told. All is asked together, and answered in order.
        let (bell, row) =
            (client.get_and_watch_data(tree::BELL), client.get_and_watch_children(tree::MEMBERS));
        let synced = client.sync(tree::BELL);
        let (bell, row, synced, members, queues, quarantines, wishes, loads, policy) = tokio::join!(
            session.ask(bell),
            session.ask(row),
            session.ask(synced),
            records::<Member>(session, tree::MEMBERS, Unreadable::Fails),
            records(session, tree::QUEUES, Unreadable::LeftOut),
            records(session, tree::QUARANTINES, Unreadable::Fails),
            records::<Wish>(session, tree::WISHES, Unreadable::LeftOut),
            records::<Load>(session, tree::LOADS, Unreadable::LeftOut),
            session.latest(tree::POLICY),
        );
        self.watch(Some((bell?.2, row?.2)));
        synced?;
        let mut view = FleetView {
            members: members?.into_iter().map(|(_, member, _)| member).collect(),
            queues: queues?.into_iter().map(stored).collect(),
            quarantines: quarantines?.into_iter().map(|(_, quarantine, _)| quarantine).collect(),
            ..FleetView::default()
        };
        view.queues.sort_by(|a, b| a.assignment.queue.cmp(&b.assignment.queue));
        for (name, wish, _) in wishes? {
            view.wishes.extend(tree::wish_id(&name).map(|id| Wish { id, ..wish }));
        }
        for (name, load, _) in loads? {
            let of = view.members.iter_mut().find(|member| member.id.as_str() == name);
            of.into_iter().for_each(|member: &mut Member| member.load = load);
        }
        if let Some((data, _)) = policy?.filter(|(data, _)| !data.is_empty()) {
            view.policy = from_json(tree::POLICY, &data)?;
        }
        Ok(view)
    }
}

/// A record that can't be read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unreadable {
    /// Is left out, and said: it must not hide the others.
    LeftOut,
    /// Fails the reading: left out, it would look as if somebody were gone, and queues would move for it.
    Fails,
}

/// The records of all children of a node, by name.
async fn records<T: DeserializeOwned>(
    session: &Session,
    parent: &str,
    unreadable: Unreadable,
) -> Result<Vec<(String, T, Stat)>, CoordinatorError> {
    let names = session.children(parent).await?;
    let paths: Vec<String> = names.iter().map(|name| format!("{parent}/{name}")).collect();
    let nodes: Vec<Option<Node>> = session.read_all(&paths).await?;
    let mut records = Vec::with_capacity(names.len());
    for ((name, path), node) in names.into_iter().zip(&paths).zip(nodes) {
        let Some((data, stat)) = node else { continue };
        match from_json(path, &data) {
            Ok(record) => records.push((name, record, stat)),
            Err(error) if unreadable == Unreadable::Fails => return Err(error),
            Err(error) => tracing::error!(%error, "a record of the fleet is left out"),
        }
    }
    Ok(records)
}

fn stored((_, assignment, stat): (String, QueueAssignment, Stat)) -> StoredQueue {
    StoredQueue { assignment, version: i64::from(stat.version) }
}

/// The driver's number at the end of a latch's name, which orders them.
fn number_of(latch: &str) -> &str {
    latch.rsplit('-').next().unwrap_or(latch)
}

impl Drop for ZooKeeperFleet {
    fn drop(&mut self) {
        let watching = self.watching.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = watching.take() {
            task.abort();
        }
    }
}

impl FleetStore for ZooKeeperFleet {
    type Lead = ZooKeeperLead;

    async fn lead(&self) -> Result<ZooKeeperLead, CoordinatorError> {
        Latch::acquire(self.session().await?, &self.name).await.map(ZooKeeperLead::new)
    }

    async fn read(&self) -> Result<FleetView, CoordinatorError> {
        let read = async { self.view(&self.session().await?).await };
        let view = read.await;
        if view.is_err() {
            self.watch(None);
        }
        view
    }

    async fn changed(&self) {
        self.news.notified().await;
    }

    async fn monitors(&self) -> Result<Vec<String>, CoordinatorError> {
        self.row().await
    }

    async fn init(&self) -> Result<(), CoordinatorError> {
        let session = self.session().await?;
        session.make_root().await?;
        for path in tree::ALL {
            match session.make(path, b"", &session.creating(path, CreateMode::Persistent)).await {
                Err(CoordinatorError::Refused(why)) if tree::ADDED.contains(&path) => {
                    tracing::warn!(
                        path,
                        why,
                        "the tree is of an older version: run `skein cluster init` for live settings"
                    );
                }
                made => made?,
            }
        }
        Ok(())
    }

    async fn seed(&self, pool: &PoolName, queues: u16, prefetch: u16) -> Result<(), CoordinatorError> {
        let session = self.session().await?;
        let there = session.children(tree::QUEUES).await?;
        let all = (0..queues).map(|number| QueueName { pool: pool.clone(), number });
        let missing: Vec<QueueName> = all.filter(|queue| !there.contains(&queue.to_string())).collect();
        for queue in missing {
            let data = to_json(&QueueAssignment::new(queue.clone(), prefetch))?;
            let path = tree::queue(&queue);
            session.make(&path, &data, &session.creating(&path, CreateMode::Persistent)).await?;
        }
        session.ring().await
    }

    async fn wish(
        &self,
        because: impl Into<Because> + Send,
        wanted: Wanted,
    ) -> Result<WishId, CoordinatorError> {
        let decision = decisions::now(because.into(), Decided::Wish(wanted.clone()));
        let session = self.session().await?;
        if session.children(tree::WISHES).await?.len() >= wishes_max(&wanted) {
            return Err(CoordinatorError::Refused(
                "too many wishes wait or stand; is a monitor running, and is so much paused or drained?"
                    .to_owned(),
            ));
        }
        let Decision { by, at, reason, .. } = decision.clone();
        let wish = to_json(&Wish { id: WishId(0), by, at, reason, wanted })?;
        let options = session.creating(&tree::new_wish(), CreateMode::PersistentSequential);
        let done = session.decide(&decision, |writer| {
            writer.add_create(&tree::new_wish(), &wish, &options).map_err(|e| coordinator_error(&e))
        });
        match done.await?.map_err(|e| coordinator_error(&e))?.first() {
            Some(MultiWriteResult::Create { path, .. }) => tree::wish_id(path),
            _ => None,
        }
        .ok_or_else(|| CoordinatorError::Refused("the wish has got no number".to_owned()))
    }

    async fn quarantine(&self, quarantine: Quarantine) -> Result<(), CoordinatorError> {
        let session = self.session().await?;
        let (path, data) = (tree::quarantine(&quarantine.member), to_json(&quarantine)?);
        let Quarantine { member, by, why: reason, since: at } = quarantine;
        let decision = Decision { by, at, reason, decided: Decided::Keep(Keep::Quarantine { member }) };
        let said_again = session.decide(&decision, |writer| writer.set(&path, &data, None));
        let done = match said_again.await? {
            Err(Error::NoNode) => {
                let options = session.creating(&path, CreateMode::Persistent);
                let said = session.decide(&decision, |writer| {
                    writer.add_create(&path, &data, &options).map_err(|e| coordinator_error(&e))
                });
                said.await?
            }
            done => done,
        };
        done.map(drop).map_err(|e| coordinator_error(&e))
    }

    async fn lift(
        &self,
        member: &MemberId,
        because: impl Into<Because> + Send,
    ) -> Result<(), CoordinatorError> {
        let decision = decisions::now(because.into(), Decided::Keep(Keep::Lift { member: member.clone() }));
        let path = tree::quarantine(member);
        let session = self.session().await?;
        let done = session
            .decide(&decision, |writer| writer.add_delete(&path, None).map_err(|e| coordinator_error(&e)));
        match done.await? {
            Ok(_) | Err(Error::NoNode) => Ok(()),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        self.session().await?.decisions().await
    }

    async fn set_policy(&self, policy: &Policy) -> Result<(), CoordinatorError> {
        let session = self.session().await?;
        session.put(tree::POLICY, &to_json(policy)?).await?;
        session.ring().await
    }
}
