//! Reading and writing nodes: JSON in them, many at a time, within bounds.

use serde::Serialize;
use serde::de::DeserializeOwned;
use skein_core::seam::CoordinatorError;
use zookeeper_client::{
    CheckWriter, CreateMode, CreateOptions, Error, MultiReadResult, MultiWriteError, MultiWriteResult,
    MultiWriter, Stat,
};

use super::connection::{Session, coordinator_error};
use super::tree::BELL;

/// Nodes read in one request: their data stays far below the megabyte that a server takes for the longest message.
const READ_MOST: usize = 256;

/// What a node holds, and its versions.
pub(super) type Node = (Vec<u8>, Stat);

impl Session {
    /// One node as ZooKeeper's leader knows it now; `None` if it is not there.
    pub(super) async fn latest(&self, path: &str) -> Result<Option<Node>, CoordinatorError> {
        // Sent together, answered in order.
        let (synced, read) = (self.client.sync(path), self.client.get_data(path));
        self.ask(synced).await?;
        match self.within(read).await? {
            Ok(node) => Ok(Some(node)),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    /// Many nodes, in the order of their paths; `None` where there is none.
    pub(super) async fn read_all(&self, paths: &[String]) -> Result<Vec<Option<Node>>, CoordinatorError> {
        let mut nodes = Vec::with_capacity(paths.len());
        for paths in paths.chunks(READ_MOST) {
            let mut reader = self.client.new_multi_reader();
            for path in paths {
                reader.add_get_data(path).map_err(|e| coordinator_error(&e))?;
            }
            for result in self.ask(reader.commit()).await? {
                nodes.push(match result {
                    MultiReadResult::Data { data, stat } => Some((data, stat)),
                    MultiReadResult::Error { err: Error::NoNode } => None,
                    MultiReadResult::Error { err } => return Err(coordinator_error(&err)),
                    other => return Err(CoordinatorError::Refused(format!("an answer is {other:?}"))),
                });
            }
        }
        Ok(nodes)
    }

    /// The names of a node's children, in order.
    pub(super) async fn children(&self, path: &str) -> Result<Vec<String>, CoordinatorError> {
        let mut names = self.ask(self.client.list_children(path)).await?;
        names.sort();
        Ok(names)
    }

    /// Makes a node, if it is not there.
    pub(super) async fn make(
        &self,
        path: &str,
        data: &[u8],
        options: &CreateOptions<'_>,
    ) -> Result<(), CoordinatorError> {
        match self.within(self.client.create(path, data, options)).await? {
            Ok(_) | Err(Error::NodeExists) => Ok(()),
            // ZooKeeper looks at the right first.
            Err(Error::NoAuth) if self.ask(self.client.check_stat(path)).await?.is_some() => Ok(()),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    /// Makes the chroot, if it is not there.
    pub(super) async fn make_root(&self) -> Result<(), CoordinatorError> {
        // To make what is there is refused to those who may not make it.
        if self.ask(self.client.check_stat("/")).await?.is_some() {
            return Ok(());
        }
        let root = self.options.chroot.clone();
        let above =
            self.client.clone().chroot("/").map_err(|_| CoordinatorError::Refused("no root".into()))?;
        self.ask(above.mkdir(&root, &self.creating("/", CreateMode::Persistent))).await
    }

    /// Writes a node, whatever it held, and makes it if it is not there.
    pub(super) async fn put(&self, path: &str, data: &[u8]) -> Result<(), CoordinatorError> {
        match self.within(self.client.set_data(path, data, None)).await? {
            Ok(_) => Ok(()),
            Err(Error::NoNode) => self
                .ask(self.client.create(path, data, &self.creating(path, CreateMode::Persistent)))
                .await
                .map(drop),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    /// Lets the monitors look.
    pub(super) async fn ring(&self) -> Result<(), CoordinatorError> {
        self.ask(self.client.set_data(BELL, b"", None)).await.map(drop)
    }

    /// Commits a transaction; the driver's word on the operation that failed.
    pub(super) async fn commit(
        &self,
        mut writer: MultiWriter<'_>,
    ) -> Result<Result<Vec<MultiWriteResult>, Error>, CoordinatorError> {
        match self.within(writer.commit()).await? {
            Ok(results) => Ok(Ok(results)),
            Err(MultiWriteError::OperationFailed { source, .. }) => Ok(Err(source)),
            Err(MultiWriteError::RequestFailed { source }) => Err(coordinator_error(&source)),
        }
    }
}

/// The text of a record. Those that are stored here have names for keys and no values that JSON can't say.
pub(super) fn to_json<T: Serialize>(record: &T) -> Result<Vec<u8>, CoordinatorError> {
    serde_json::to_vec(record).map_err(|error| CoordinatorError::Refused(error.to_string()))
}

/// Reads a record.
///
/// # Errors
/// When it is none: something else has written it, or a version of this program that is too new.
pub(super) fn from_json<T: DeserializeOwned>(path: &str, data: &[u8]) -> Result<T, CoordinatorError> {
    serde_json::from_slice(data).map_err(|error| {
        CoordinatorError::Refused(format!("{path} cannot be read: {error}; was it written by hand?"))
    })
}

/// What both kinds of transaction can do.
pub(super) trait Transaction {
    fn set(&mut self, path: &str, data: &[u8], version: Option<i32>) -> Result<(), CoordinatorError>;
}

impl Transaction for MultiWriter<'_> {
    fn set(&mut self, path: &str, data: &[u8], version: Option<i32>) -> Result<(), CoordinatorError> {
        self.add_set_data(path, data, version).map_err(|e| coordinator_error(&e))
    }
}

impl Transaction for CheckWriter<'_> {
    fn set(&mut self, path: &str, data: &[u8], version: Option<i32>) -> Result<(), CoordinatorError> {
        self.add_set_data(path, data, version).map_err(|e| coordinator_error(&e))
    }
}
