//! Live settings: one document with its versions, and what each process says it has in force.
//!
//! The document's version is its node's: who writes names the version that was read, and is refused if another came between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skein_core::Timestamp;
use skein_core::seam::CoordinatorError;
use zookeeper_client::{CreateMode, Error};

use super::connection::{Connection, Session, coordinator_error};
use super::live_watch::LiveWatch;
use super::nodes::{Transaction as _, from_json, to_json};
use super::options::ZooKeeperOptions;
use super::tree;

/// How many versions are kept.
pub const LIVE_HISTORY_MAX: usize = 50;
/// The longest document, in bytes: a node of ZooKeeper takes a megabyte, and every process reads it at each change.
pub const LIVE_BYTES_MAX: usize = 64 << 10;

/// What a fleet is told while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LiveDocument {
    /// The text of each setting, as after `--set`. References only, never a secret.
    pub settings: BTreeMap<String, String>,
    /// Who wrote it.
    #[serde(default)]
    pub author: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When, by the writer's clock.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// A version of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveVersion {
    /// Its number; 0 as long as nothing was ever written.
    pub version: u64,
    /// The document; or why it can't be read.
    pub document: Result<LiveDocument, String>,
}

/// What a process says of the live settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InForce {
    /// `sender`, `monitor` or `gateway`.
    pub role: String,
    /// Which one.
    pub name: String,
    /// The version that it goes by.
    pub version: u64,
    /// The version that it goes not by, and why, if there is one.
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// A version that a process does not go by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refused {
    /// Which.
    pub version: u64,
    /// Why not.
    pub why: String,
}

impl InForce {
    /// Whatever a gateway says of itself, it speaks for no other process; and what can't be read hides no other's word.
    fn of_gateway(name: String, data: &[u8]) -> Self {
        let said = from_json(&name, data).unwrap_or_else(|error| Self {
            refused: Some(Refused { version: 0, why: error.to_string() }),
            ..Self::default()
        });
        Self { role: tree::GATEWAY.to_owned(), name, ..said }
    }
}

impl LiveVersion {
    pub(super) async fn latest(session: &Session) -> Result<Self, CoordinatorError> {
        let (data, stat) = session.latest(tree::LIVE).await?.ok_or_else(no_place)?;
        Ok(Self::read(stat.version, &data))
    }

    pub(super) fn read(version: i32, data: &[u8]) -> Self {
        let document = match data.len() {
            0 => Ok(LiveDocument::default()),
            1..=LIVE_BYTES_MAX => from_json(tree::LIVE, data).map_err(|error| error.to_string()),
            more => Err(format!("it has {more} bytes; {LIVE_BYTES_MAX} are the most")),
        };
        Self { version: u64::try_from(version).unwrap_or_default(), document }
    }
}

/// A handle on the live settings of one cluster.
#[derive(Debug)]
pub struct ZooKeeperLive {
    connection: Arc<Connection>,
    limit: Duration,
}

impl ZooKeeperLive {
    /// Begins to connect. Must be called within a runtime.
    pub fn connect(options: ZooKeeperOptions) -> Self {
        let limit = options.session_timeout;
        Self { connection: Arc::new(Connection::open(Arc::new(options))), limit }
    }

    /// Begins to follow the document as this process; see [`LiveWatch`].
    pub fn watch(&self, role: &str, name: &str) -> LiveWatch {
        LiveWatch::start(Arc::clone(&self.connection), role, name)
    }

    /// The document as it is now.
    ///
    /// # Errors
    /// [`CoordinatorError`]; `Refused` where the tree has no place for it yet.
    pub async fn read(&self) -> Result<LiveVersion, CoordinatorError> {
        LiveVersion::latest(&self.session().await?).await
    }

    /// The versions that are kept, the newest first.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub async fn history(&self) -> Result<Vec<LiveVersion>, CoordinatorError> {
        let session = self.session().await?;
        let mut names = session.children(tree::LIVE_HISTORY).await?;
        names.reverse();
        let paths: Vec<String> = names.iter().map(|name| format!("{}/{name}", tree::LIVE_HISTORY)).collect();
        let nodes = session.read_all(&paths).await?;
        let versions = names.iter().zip(nodes).filter_map(|(name, node)| {
            let number = tree::live_version(name).and_then(|number| i32::try_from(number).ok())?;
            Some(LiveVersion::read(number, &node?.0))
        });
        Ok(versions.collect())
    }

    /// Writes the next version, if `expected` is still the latest; gives its number.
    ///
    /// # Errors
    /// [`CoordinatorError`]; `Overtaken` if somebody else wrote first: nothing is changed then.
    pub async fn write(&self, expected: u64, document: &LiveDocument) -> Result<u64, CoordinatorError> {
        let data = to_json(document)?;
        if data.len() > LIVE_BYTES_MAX {
            let why = format!("the live settings have {} bytes; {LIVE_BYTES_MAX} are the most", data.len());
            return Err(CoordinatorError::Refused(why));
        }
        let session = self.session().await?;
        let version = i32::try_from(expected).map_err(|_| overtaken(expected))?;
        let next = expected + 1;
        let mut kept = session.children(tree::LIVE_HISTORY).await?;
        kept.retain(|name| tree::live_version(name).is_some());
        let mut writer = session.client.new_multi_writer();
        writer.set(tree::LIVE, &data, Some(version))?;
        let path = tree::live_history(next);
        let options = session.creating(&path, CreateMode::Persistent);
        writer.add_create(&path, &data, &options).map_err(|e| coordinator_error(&e))?;
        for old in kept.iter().take((kept.len() + 1).saturating_sub(LIVE_HISTORY_MAX)) {
            let old = format!("{}/{old}", tree::LIVE_HISTORY);
            writer.add_delete(&old, None).map_err(|e| coordinator_error(&e))?;
        }
        match session.commit(writer).await? {
            Ok(_) => Ok(next),
            Err(Error::BadVersion | Error::NodeExists) => Err(overtaken(expected)),
            Err(error) => Err(coordinator_error(&error)),
        }
    }

    /// What each process that is there says, by role and name.
    ///
    /// # Errors
    /// [`CoordinatorError`].
    pub async fn in_force(&self) -> Result<Vec<InForce>, CoordinatorError> {
        let session = self.session().await?;
        let fleet = nodes_in(&session, tree::LIVE_IN_FORCE).await?;
        let fleet = fleet.into_iter().map(|(name, data)| from_json(&name, &data));
        // A tree of an older version has no such folder.
        let gateways = match session.ask(session.client.check_stat(tree::GATEWAYS)).await? {
            Some(_) => nodes_in(&session, tree::GATEWAYS).await?,
            None => Vec::new(),
        };
        let gateways = gateways.into_iter().map(|(name, data)| Ok(InForce::of_gateway(name, &data)));
        fleet.chain(gateways).collect()
    }

    async fn session(&self) -> Result<Session, CoordinatorError> {
        self.connection.connected(self.limit).await
    }
}

/// What the nodes of a folder hold, by name.
async fn nodes_in(session: &Session, folder: &str) -> Result<Vec<(String, Vec<u8>)>, CoordinatorError> {
    let names = session.children(folder).await?;
    let paths: Vec<String> = names.iter().map(|name| format!("{folder}/{name}")).collect();
    let nodes = session.read_all(&paths).await?;
    Ok(names.into_iter().zip(nodes).filter_map(|(name, node)| Some((name, node?.0))).collect())
}

fn no_place() -> CoordinatorError {
    let why = "the tree has no place for live settings; run `skein cluster init`, or start a monitor of this version";
    CoordinatorError::Refused(why.to_owned())
}

fn overtaken(expected: u64) -> CoordinatorError {
    CoordinatorError::Overtaken(format!("version {expected} is not the latest; look at it and try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_speaks_for_itself_alone() {
        let forged = InForce::of_gateway("door".into(), br#"{"role":"sender","name":"s1","version":7}"#);
        assert_eq!((forged.role.as_str(), forged.name.as_str(), forged.version), ("gateway", "door", 7));
        let torn = InForce::of_gateway("door".into(), b"{");
        assert_eq!((torn.name.as_str(), torn.version), ("door", 0));
        assert!(torn.refused.is_some());
    }

    #[test]
    fn what_is_no_document_is_told() {
        assert_eq!(LiveVersion::read(0, b"").document, Ok(LiveDocument::default()));
        let whole = LiveVersion::read(3, br#"{"settings":{"log.level":"debug"},"later":1}"#);
        assert_eq!(whole.version, 3);
        assert_eq!(whole.document.unwrap().settings["log.level"], "debug");
        for bad in [&b"{}"[..], b"\0", b"[]", br#"{"settings":{"a":1}}"#, &vec![b' '; LIVE_BYTES_MAX + 1]] {
            assert!(LiveVersion::read(1, bad).document.is_err(), "{bad:?}");
        }
    }
}
