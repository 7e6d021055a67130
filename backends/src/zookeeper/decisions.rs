//! What operators decided: one node for each, numbered, beside the versions of the live settings. Each is written in one
//! transaction with what it decides.
//!
//! A command of a version that knows none of them passes them over when it reads that folder.

use skein_core::fleet::{Because, Decided, Decision};
use skein_core::seam::{Clock as _, CoordinatorError, DECISIONS_MAX};
use zookeeper_client::{CreateMode, Error, MultiWriteResult, MultiWriter};

use super::connection::{Session, coordinator_error};
use super::nodes::{Transaction as _, from_json, to_json};
use super::tree::{BELL, LIVE_HISTORY};
use crate::clock::SystemClock;

const DECISION: &str = "d-";

/// A decision of now.
pub(super) fn now(because: Because, decided: Decided) -> Decision {
    Decision { by: because.by, at: SystemClock.now(), reason: because.reason, decided }
}

impl Session {
    /// Does what was decided, keeps the word of it and lets the monitors look, all in one or nothing of it; the oldest word goes.
    pub(super) async fn decide(
        &self,
        decision: &Decision,
        deed: impl FnOnce(&mut MultiWriter<'_>) -> Result<(), CoordinatorError>,
    ) -> Result<Result<Vec<MultiWriteResult>, Error>, CoordinatorError> {
        let mut writer = self.client.new_multi_writer();
        deed(&mut writer)?;
        writer.set(BELL, b"", None)?;
        // A tree of an older version has no place for it: what is decided is done all the same.
        let kept = self.kept().await?;
        if kept.is_some() {
            let path = format!("{LIVE_HISTORY}/{DECISION}");
            let options = self.creating(&path, CreateMode::PersistentSequential);
            writer.add_create(&path, &to_json(decision)?, &options).map_err(|e| coordinator_error(&e))?;
        }
        let done = self.commit(writer).await?;
        let kept = kept.unwrap_or_default();
        if done.is_ok() {
            for old in kept.iter().take((kept.len() + 1).saturating_sub(DECISIONS_MAX)) {
                // It is decided whatever becomes of the old ones: the next one takes them away.
                match self.within(self.client.delete(old, None)).await {
                    // Somebody else who decided at the same time was faster.
                    Ok(Ok(()) | Err(Error::NoNode)) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "an old decision is not deleted yet"),
                    Err(error) => tracing::debug!(%error, "an old decision is not deleted yet"),
                }
            }
        }
        Ok(done)
    }

    /// What is kept, the latest first. What can't be read is left out, and said.
    pub(super) async fn decisions(&self) -> Result<Vec<Decision>, CoordinatorError> {
        let mut paths = self.kept().await?.unwrap_or_default();
        paths.reverse();
        let nodes = self.read_all(&paths).await?;
        let read = paths.iter().zip(nodes).filter_map(|(path, node)| {
            let decision = from_json::<Decision>(path, &node?.0);
            decision.inspect_err(|error| tracing::warn!(%error, "a decision is left out")).ok()
        });
        Ok(read.take(DECISIONS_MAX).collect())
    }

    /// Where they are, the oldest first; `None` where there is no place for them.
    async fn kept(&self) -> Result<Option<Vec<String>>, CoordinatorError> {
        let mut names = match self.within(self.client.list_children(LIVE_HISTORY)).await? {
            Ok(names) => names,
            Err(Error::NoNode) => return Ok(None),
            Err(error) => return Err(coordinator_error(&error)),
        };
        names.retain(|name| name.starts_with(DECISION));
        names.sort();
        Ok(Some(names.into_iter().map(|name| format!("{LIVE_HISTORY}/{name}")).collect()))
    }
}
