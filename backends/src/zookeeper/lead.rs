//! Leadership over ZooKeeper: every write in one transaction with a check of the latch.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use skein_core::fleet::{MemberId, QueueAssignment, WishId};
use skein_core::seam::{Applied, CoordinatorError, Lead, Planned, StoredQueue};
use zookeeper_client::{CreateMode, MultiWriteResult};

use super::connection::coordinator_error;
use super::latch::{Commit, Latch};
use super::nodes::{Transaction as _, to_json};
use super::tree;

/// Records changed in one transaction: far below the megabyte that a server takes for the longest message.
const TRANSACTION_MOST: usize = 64;

/// Leadership, held by a curator latch. Dropped, it is given up.
#[derive(Debug)]
pub struct ZooKeeperLead {
    latch: Latch,
    /// Members whose node for calls is known to be there.
    called: Mutex<BTreeSet<MemberId>>,
}

impl ZooKeeperLead {
    pub(super) fn new(latch: Latch) -> Self {
        Self { latch, called: Mutex::new(BTreeSet::new()) }
    }

    async fn can_be_called(&self, members: &BTreeSet<MemberId>) -> Result<(), CoordinatorError> {
        let known =
            |member: &&MemberId| self.called.lock().unwrap_or_else(PoisonError::into_inner).contains(*member);
        let unknown: Vec<&MemberId> = members.iter().filter(|member| !known(member)).collect();
        for member in unknown {
            let session = self.latch.session();
            let path = tree::call(member);
            session.make(&path, b"", &session.creating(&path, CreateMode::Persistent)).await?;
            self.called.lock().unwrap_or_else(PoisonError::into_inner).insert(member.clone());
        }
        Ok(())
    }

    /// One transaction; what is stale is left out of it, and it is tried again without.
    async fn transact(&self, changes: &[Planned], applied: &mut Applied) -> Result<(), CoordinatorError> {
        let mut rest: Vec<(&StoredQueue, QueueAssignment)> = Vec::with_capacity(changes.len());
        for planned in changes {
            match planned.on.assignment.apply(&planned.change) {
                Ok(next) => rest.push((&planned.on, next)),
                Err(_) => applied.stale.push(planned.on.assignment.queue.clone()),
            }
        }
        while !rest.is_empty() {
            let mut members = BTreeSet::new();
            for (on, next) in &rest {
                let owners = [&on.assignment.owner, &next.owner].into_iter().flatten();
                members.extend(owners.map(|owner| owner.member.clone()));
                // Who is to take it makes itself ready.
                members.extend([&on.assignment.successor, &next.successor].into_iter().flatten().cloned());
            }
            self.can_be_called(&members).await?;
            let mut writer = self.latch.writer();
            for (on, next) in &rest {
                let version = i32::try_from(on.version).unwrap_or(i32::MAX);
                writer.set(&tree::queue(&next.queue), &to_json(next)?, Some(version))?;
            }
            for member in &members {
                writer.set(&tree::call(member), b"", None)?;
            }
            writer.set(tree::BELL, b"", None)?;
            match self.latch.commit(writer).await {
                Ok(results) => {
                    for ((_, assignment), result) in rest.drain(..).zip(results) {
                        if let MultiWriteResult::SetData { stat } = result {
                            let version = i64::from(stat.version);
                            applied.changed.push(StoredQueue { assignment, version });
                        }
                    }
                }
                Err(Commit::Stale(index, _)) if index < rest.len() => {
                    applied.stale.push(rest.remove(index).1.queue);
                }
                Err(other) => return Err(refused(other)),
            }
        }
        Ok(())
    }
}

fn refused(commit: Commit) -> CoordinatorError {
    match commit {
        Commit::Deposed => CoordinatorError::Overtaken("this monitor does not lead any more".to_owned()),
        Commit::Stale(_, error) => coordinator_error(&error),
        Commit::Failed(error) => error,
    }
}

impl Lead for ZooKeeperLead {
    fn is_certain(&self) -> bool {
        self.latch.is_certain()
    }

    async fn lost(&self) -> String {
        self.latch.lost().await
    }

    async fn apply(&self, changes: &[Planned]) -> Result<Applied, CoordinatorError> {
        let mut applied = Applied::default();
        for changes in changes.chunks(TRANSACTION_MOST) {
            self.transact(changes, &mut applied).await?;
        }
        Ok(applied)
    }

    async fn fulfilled(&self, wishes: &[WishId]) -> Result<(), CoordinatorError> {
        for wishes in wishes.chunks(TRANSACTION_MOST) {
            let mut rest = wishes.to_vec();
            while !rest.is_empty() {
                let mut writer = self.latch.writer();
                for wish in &rest {
                    writer.add_delete(&tree::wish(*wish), None).map_err(|e| coordinator_error(&e))?;
                }
                match self.latch.commit(writer).await {
                    Ok(_) => rest.clear(),
                    Err(Commit::Stale(index, zookeeper_client::Error::NoNode)) if index < rest.len() => {
                        rest.remove(index);
                    }
                    Err(other) => return Err(refused(other)),
                }
            }
        }
        Ok(())
    }
}
