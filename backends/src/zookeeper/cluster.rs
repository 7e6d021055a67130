//! What `skein cluster init` makes in ZooKeeper: the tree, a record for each queue, and everybody's rights.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use skein_core::fleet::QueueAssignment;
use skein_core::seam::CoordinatorError;
use skein_core::{PoolName, QueueName, Timestamp};
use zookeeper_client::{CreateMode, Error};

use super::connection::{Connection, Session, coordinator_error};
use super::nodes::to_json;
use super::options::ZooKeeperOptions;
use super::rights::Rights;
use super::tree;

/// The most nodes whose rights are looked at: 1,024 queues of a hundred pools, with room for members and wishes.
const NODES_MAX: usize = 200_000;

/// A node that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its path below the chroot.
    pub path: String,
    /// Whether it is missing, or what differs.
    pub wrong: Wrong,
}

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there.
    Missing,
    /// Its list of rights is another.
    Rights,
}

/// The tree of one cluster, seen by its administrator.
#[derive(Debug)]
pub struct ZooKeeperTree {
    connection: Connection,
    limit: Duration,
    rights: Arc<Rights>,
    queues: Vec<(QueueName, u16)>,
}

impl ZooKeeperTree {
    /// Begins to connect as the administrator, whose digest `rights` names. `pools`: each with its number of queues and their
    /// prefetch. Must be called within a runtime.
    pub fn connect(options: ZooKeeperOptions, rights: Rights, pools: &[(PoolName, u16, u16)]) -> Self {
        let limit = options.session_timeout;
        let queues = pools.iter().flat_map(|(pool, queues, prefetch)| {
            (0..*queues).map(|number| (QueueName { pool: pool.clone(), number }, *prefetch))
        });
        Self {
            limit,
            queues: queues.collect(),
            rights: Arc::new(rights),
            connection: Connection::open(Arc::new(options)),
        }
    }

    /// Compares what is there with what must be. Changes nothing.
    ///
    /// # Errors
    /// [`CoordinatorError`]; `Refused` where the administrator's login is not the owner of a node.
    pub async fn look(&self) -> Result<Vec<Node>, CoordinatorError> {
        let session = self.session().await?;
        let mut wrong = Vec::new();
        for path in self.paths() {
            if session.ask(session.client.check_stat(&path)).await?.is_none() {
                wrong.push(Node { path, wrong: Wrong::Missing });
            }
        }
        if wrong.first().is_some_and(|node| node.path == "/") {
            return Ok(wrong);
        }
        for path in everything(&session).await? {
            match session.within(session.client.get_acl(&path)).await? {
                Ok((found, _)) if self.rights.are(&path, &found) => {}
                Ok(_) => wrong.push(Node { path, wrong: Wrong::Rights }),
                Err(Error::NoNode) => {}
                Err(error) => return Err(coordinator_error(&error)),
            }
        }
        if session.rights.as_deref() != Some(&*self.rights) && !wrong.iter().any(|n| n.path == tree::RIGHTS) {
            wrong.push(Node { path: tree::RIGHTS.to_owned(), wrong: Wrong::Rights });
        }
        Ok(wrong)
    }

    /// Mends one node that [`Self::look`] has named. Idempotent; in the order in which they were named.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub async fn mend(&self, node: &Node) -> Result<(), CoordinatorError> {
        let mut session = self.session().await?;
        session.rights = Some(Arc::clone(&self.rights));
        let path = node.path.as_str();
        if path == "/" && node.wrong == Wrong::Missing {
            session.make_root().await?;
        }
        if path == tree::RIGHTS {
            session.put(path, &to_json(self.rights.users())?).await?;
        } else if node.wrong == Wrong::Missing && path != "/" {
            session.make(path, &self.data(path)?, &session.creating(path, CreateMode::Persistent)).await?;
        }
        match session.within(session.client.set_acl(path, &self.rights.acls(path), None)).await? {
            // What is ephemeral may have gone meanwhile.
            Ok(_) | Err(Error::NoNode) => Ok(()),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    fn data(&self, path: &str) -> Result<Vec<u8>, CoordinatorError> {
        match self.queues.iter().find(|(queue, _)| tree::queue(queue) == path) {
            Some((queue, prefetch)) => to_json(&QueueAssignment::new(queue.clone(), *prefetch)),
            None => Ok(Vec::new()),
        }
    }

    /// Every node that must be there, parents first; the users' before those that others make.
    fn paths(&self) -> impl Iterator<Item = String> {
        let fixed = ["/", tree::RIGHTS].into_iter().chain(tree::ALL).map(str::to_owned);
        fixed.chain(self.queues.iter().map(|(queue, _)| tree::queue(queue)))
    }

    async fn session(&self) -> Result<Session, CoordinatorError> {
        self.connection.connected(self.limit).await
    }
}

/// The clock of ZooKeeper's leader, by ringing the bell, which makes the monitors look and changes nothing. Any role but the
/// gateway may. Must be called within a runtime.
///
/// # Errors
/// [`CoordinatorError`].
pub async fn clock_of(options: ZooKeeperOptions) -> Result<Timestamp, CoordinatorError> {
    let limit = options.session_timeout;
    let connection = Connection::open_bare(Arc::new(options));
    let session = connection.connected(limit).await?;
    let rung = session.ask(session.client.set_data(tree::BELL, b"", None)).await?;
    Ok(Timestamp::from_millis(rung.mtime))
}

/// Every node below the chroot.
async fn everything(session: &Session) -> Result<Vec<String>, CoordinatorError> {
    let mut found = Vec::new();
    let mut folders = VecDeque::from(["/".to_owned()]);
    while let Some(path) = folders.pop_front() {
        match session.within(session.client.list_children(&path)).await? {
            Ok(children) => {
                let prefix = if path == "/" { "" } else { path.as_str() };
                folders.extend(children.iter().map(|child| format!("{prefix}/{child}")));
            }
            Err(Error::NoNode) => continue,
            Err(error) => return Err(coordinator_error(&error)),
        }
        found.push(path);
        if found.len() > NODES_MAX {
            return Err(CoordinatorError::Refused(format!(
                "more than {NODES_MAX} nodes are below the chroot"
            )));
        }
    }
    Ok(found)
}
