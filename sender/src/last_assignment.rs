//! What a member owned last, kept in its state folder: killed and restarted while the coordinator is away, it goes on with that, by
//! the rules of static mode.
//!
//! Nothing here proves that no other member was given its queues meanwhile. What keeps two from writing is the broker, which gives
//! a queue's deliveries to one consumer at a time, and the grace: what is taken up so is waited for and looked up as if anybody had
//! had it. What the coordinator says, once it says something, counts alone.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use skein_core::fleet::{Member, MemberId};
use skein_core::seam::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Tenure};
use skein_core::{PoolName, QueueName, SlotMap};
use tokio::sync::watch;

/// How long the coordinator may be silent at the start before the last assignment is gone by. It answers within some tens of
/// milliseconds if it is there.
pub const SILENT_MAX: Duration = Duration::from_secs(1);

/// A queue that was this member's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Which.
    pub queue: QueueName,
    /// In which epoch.
    pub epoch: u64,
    /// The queue's own prefetch.
    pub prefetch: u16,
}

/// Where the last assignment is kept.
pub trait Notebook: Send + Sync + 'static {
    /// What was written last; empty if nothing can be read.
    fn read(&self) -> Vec<Kept>;
    /// Writes it down. It is there for the next process of this host; a crash of the host may lose it.
    fn write(&self, kept: &[Kept]);
}

/// A file in the state folder, held by the member's lock.
#[derive(Debug)]
pub struct FileNotebook {
    path: PathBuf,
}

impl FileNotebook {
    /// The one of a member. Whoever uses it holds the member's lock in the same folder.
    pub fn new(folder: &Path, member: &MemberId) -> Self {
        Self { path: folder.join(format!("{member}.assignment")) }
    }

    fn replace(&self, kept: &[Kept]) -> io::Result<()> {
        let beside = self.path.with_extension("assignment.new");
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(&serde_json::to_vec(kept)?)?;
        std::fs::rename(&beside, &self.path)
    }
}

impl Notebook for FileNotebook {
    fn read(&self) -> Vec<Kept> {
        let text = std::fs::read(&self.path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write(&self, kept: &[Kept]) {
        if let Err(error) = self.replace(kept) {
            tracing::warn!(path = %self.path.display(), %error, "what this sender owns can't be written down: killed while the coordinator is away, it waits for it");
        }
    }
}

/// A coordinator whose last word is kept.
pub struct Remembered<K, N> {
    inner: Arc<K>,
    /// None: nothing is kept, and nothing gone by.
    notebook: Option<N>,
    slots: BTreeMap<PoolName, SlotMap>,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    now: Assignment,
    /// Told in their order.
    to: Vec<watch::Sender<Assignment>>,
    kept: Vec<Kept>,
}

impl<K: Coordinator, N: Notebook> Remembered<K, N> {
    /// Over a coordinator, with how each pool's slots are bound.
    pub fn new(inner: Arc<K>, notebook: Option<N>, slots: BTreeMap<PoolName, SlotMap>) -> Self {
        let kept = notebook.as_ref().map(Notebook::read).unwrap_or_default();
        // Restarted in place, it will most likely have them again: their connections are opened while the coordinator is asked.
        let coming = kept.iter().map(|kept| kept.queue.clone()).collect();
        let now = Assignment { coming, ..Assignment::default() };
        Self { inner, notebook, slots, told: Mutex::new(Told { now, to: Vec::new(), kept }) }
    }

    /// Passes on what the coordinator says, for as long as it is polled.
    pub async fn run(&self) {
        let mut own = self.inner.assignment();
        let mut standing = self.inner.standing();
        if own.borrow_and_update().queues.is_empty() {
            let heard = async {
                tokio::select! {
                    biased;
                    _ = own.changed() => {}
                    _ = standing.wait_for(|standing| !matches!(standing, Standing::Away { .. })) => {}
                }
            };
            tokio::pin!(heard);
            if tokio::time::timeout(SILENT_MAX, &mut heard).await.is_err() {
                self.stand_in();
                heard.await;
            }
        }
        loop {
            let now = own.borrow_and_update().clone();
            self.keep(&now);
            self.tell(now);
            if own.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The coordinator is silent: goes by what is kept.
    fn stand_in(&self) {
        let owned: Vec<OwnedQueue> = self.told().kept.iter().filter_map(|kept| self.owned(kept)).collect();
        if !owned.is_empty() {
            let queues = owned.len();
            tracing::warn!(
                queues,
                "the coordinator does not answer: static mode, this sender goes on with what it owned before its restart"
            );
            self.tell(Assignment { queues: owned, ..Assignment::default() });
        }
    }

    /// Anybody may have had it meanwhile: the grace is waited for, and nothing is taken for clean.
    fn owned(&self, kept: &Kept) -> Option<OwnedQueue> {
        Some(OwnedQueue {
            queue: kept.queue.clone(),
            epoch: kept.epoch,
            prefetch: kept.prefetch,
            slots: self.slots.get(&kept.queue.pool)?.clone(),
            predecessor_gone: false,
            grace_served: Duration::ZERO,
            left_clean: false,
            paused: false,
            tenure: Tenure::Hold,
        })
    }

    fn tell(&self, now: Assignment) {
        let mut told = self.told();
        told.now = now;
        let Told { now, to, .. } = &mut *told;
        to.retain(|one| !one.is_closed());
        for one in to {
            one.send_if_modified(|assignment| {
                let differs = *assignment != *now;
                assignment.clone_from(now);
                differs
            });
        }
    }

    /// What is to be left, or is paused, is not gone on with.
    fn keep(&self, now: &Assignment) {
        let stays = |owned: &&OwnedQueue| !owned.paused && !matches!(owned.tenure, Tenure::Leave(_));
        let kept = |owned: &OwnedQueue| Kept {
            queue: owned.queue.clone(),
            epoch: owned.epoch,
            prefetch: owned.prefetch,
        };
        self.write(now.queues.iter().filter(stays).map(kept).collect());
    }

    fn write(&self, kept: Vec<Kept>) {
        let mut told = self.told();
        if let Some(notebook) = &self.notebook
            && told.kept != kept
        {
            notebook.write(&kept);
            told.kept = kept;
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Coordinator, N: Notebook> Coordinator for Remembered<K, N> {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        let mut told = self.told();
        let one = watch::Sender::new(told.now.clone());
        let receiver = one.subscribe();
        told.to.push(one);
        receiver
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.inner.standing()
    }

    fn describe(&self, member: Member) {
        self.inner.describe(member);
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        self.inner.settled(queue, epoch).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        let released = self.inner.release(queue, epoch, clean).await;
        if matches!(released, Ok(()) | Err(CoordinatorError::Overtaken(_))) {
            let kept = self.told().kept.iter().filter(|kept| kept.queue != *queue).cloned().collect();
            self.write(kept);
        }
        released
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        self.inner.reclaim(queue, epoch, predecessor_dead).await
    }

    async fn leave(&self) {
        self.inner.leave().await;
    }
}

#[cfg(test)]
#[path = "last_assignment/tests.rs"]
mod tests;
