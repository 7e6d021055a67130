//! Trying what a user of ZooKeeper must not do, in ways that harm nothing if it may: writes and deletions name a version that no
//! node has, which ZooKeeper looks at after the right; what is made is ephemeral and goes with the probe.

use std::sync::Arc;
use std::time::Duration;

use skein_core::seam::CoordinatorError;
use zookeeper_client::{Acls, CreateMode, Error};

use super::connection::Connection;
use super::options::ZooKeeperOptions;
use super::tree;

/// A version that no node ever has.
const NO_VERSION: i32 = i32::MAX;
/// How often it is looked whether a node is gone.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Reads the node.
    Read,
    /// Lists its children.
    List,
    /// Writes it.
    Write,
    /// Makes a child.
    Create,
    /// Deletes it.
    Delete,
    /// Changes its rights.
    Rights,
}

impl Deed {
    /// The word in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Write => "write",
            Self::Create => "create below",
            Self::Delete => "delete",
            Self::Rights => "change the rights of",
        }
    }
}

/// One deed at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What.
    pub deed: Deed,
    /// The node, below the chroot.
    pub path: String,
}

/// What ZooKeeper answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No right to it.
    Refused,
    /// The right is there.
    Allowed,
}

/// A call that nobody hears: a node below `/calls` with a name that no member has, made as senders make theirs, there for as long as
/// this lives.
#[derive(Debug)]
pub struct ProbeCall {
    path: String,
    options: ZooKeeperOptions,
    connection: Connection,
}

impl ProbeCall {
    /// Makes it with the login of `options`, a sender's. Must be called within a runtime.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub async fn make(options: ZooKeeperOptions) -> Result<Self, CoordinatorError> {
        let limit = options.session_timeout;
        let connection = Connection::open(Arc::new(options.clone()));
        let session = connection.connected(limit).await?;
        let path = format!("{}/zz-probe-{}", tree::CALLS, uuid::Uuid::new_v4().simple());
        let create = session.creating(&path, CreateMode::Ephemeral);
        session.ask(session.client.create(&path, b"", &create)).await?;
        Ok(Self { path, options, connection })
    }

    /// Ends it, and waits until ZooKeeper has taken it away: with a process that ends at once it would stay until its session is
    /// over. At most that long.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub async fn end(self) -> Result<(), CoordinatorError> {
        let Self { path, options, connection } = self;
        drop(connection);
        let limit = options.session_timeout;
        let connection = Connection::open_bare(Arc::new(options));
        let session = connection.connected(limit).await?;
        let gone = async {
            while session.ask(session.client.check_stat(&path)).await?.is_some() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(limit, gone).await.unwrap_or(Ok(()))
    }

    /// Its path, below the chroot.
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// Tries all, over one session with the login of `options`, if any. Must be called within a runtime.
///
/// # Errors
/// [`CoordinatorError`] when ZooKeeper is away or answers in another way: then nothing is proved.
pub async fn attempt(
    options: ZooKeeperOptions,
    attempts: &[Attempt],
) -> Result<Vec<Answer>, CoordinatorError> {
    let limit = options.session_timeout;
    // The users of the tree are none of a stranger's business: the session is made without.
    let connection = Connection::open_bare(Arc::new(options));
    let session = connection.connected(limit).await?;
    let client = &session.client;
    let mut answers = Vec::with_capacity(attempts.len());
    for Attempt { deed, path } in attempts {
        let child = format!("{}/zz-probe", path.trim_end_matches('/'));
        let done = match deed {
            Deed::Read => session.within(client.get_data(path)).await?.map(drop),
            Deed::List => session.within(client.list_children(path)).await?.map(drop),
            Deed::Write => session.within(client.set_data(path, b"", Some(NO_VERSION))).await?.map(drop),
            Deed::Delete => session.within(client.delete(path, Some(NO_VERSION))).await?,
            Deed::Rights => {
                let nobody = Acls::anyone_read();
                session.within(client.set_acl(path, &nobody, Some(NO_VERSION))).await?.map(drop)
            }
            Deed::Create => {
                let made = client.create(&child, b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all()));
                let made = session.within(made).await?.map(drop);
                if made.is_ok() {
                    // Without the right to delete it goes with the session.
                    let _ = session.within(client.delete(&child, None)).await?;
                }
                made
            }
        };
        answers.push(match done {
            Err(Error::NoAuth) => Answer::Refused,
            // What ZooKeeper looks at after the right.
            Ok(())
            | Err(
                Error::BadVersion | Error::NodeExists | Error::NotEmpty | Error::NoChildrenForEphemerals,
            ) => Answer::Allowed,
            Err(error) => {
                return Err(CoordinatorError::Refused(format!(
                    "to {} {path} is answered with: {error}; run `skein cluster init` first",
                    deed.label()
                )));
            }
        });
    }
    Ok(answers)
}
