//! Trying what a user of ZooKeeper must not do, in ways that harm nothing if it may: writes and deletions name a version that no
//! node has, which ZooKeeper looks at after the right; what is made is ephemeral and goes with the probe.

use std::sync::Arc;

use skein_core::seam::CoordinatorError;
use zookeeper_client::{Acls, CreateMode, Error};

use super::connection::Connection;
use super::options::ZooKeeperOptions;

/// A version that no node ever has.
const NO_VERSION: i32 = i32::MAX;

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
            Ok(()) | Err(Error::BadVersion | Error::NodeExists | Error::NotEmpty) => Answer::Allowed,
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
