//! The coordinator seam, a sender's side: which queues are its own, and how it says that it has taken, left or lost one.

use std::time::Duration;

use tokio::sync::watch;

use crate::fleet::{Change, Incarnation, Member, MemberId, Owner, QueueAssignment};
use crate::pool::QueueName;
use crate::slot::SlotMap;
use crate::time::Timestamp;

/// Says which queues this sender owns, and takes its word on them. Level-based: each value is the whole assignment, and a missed
/// event costs time, never truth. Every write is checked against what it was decided on.
///
/// While the coordinator is away the last assignment stands (P7) and every write fails with [`CoordinatorError::Away`]; the caller
/// goes on as it is and says it again later.
pub trait Coordinator: Send + Sync + 'static {
    /// The assignment, now and whenever it changes. When the sender of the channel is dropped, the last value stands.
    fn assignment(&self) -> watch::Receiver<Assignment>;

    /// How this sender stands with the coordinator, now and whenever it changes.
    fn standing(&self) -> watch::Receiver<Standing>;

    /// What this sender says of itself, as a whole. Returns at once; the last word is published at a bounded rate, and again after
    /// each reconnect. Its id and incarnation are those it joined with, whatever `member` says.
    fn describe(&self, member: Member);

    /// The grace is over: whoever owned the queue before this epoch writes no more. May be said again.
    ///
    /// Cancelled, it may or may not have been said.
    ///
    /// # Errors
    /// [`CoordinatorError::Overtaken`] if the queue is not this life's in this epoch any more.
    fn settled(
        &self,
        queue: &QueueName,
        epoch: u64,
    ) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// This sender has left the queue by the one way to leave: nothing of its own is in flight and its socket is shut. `clean`: and
    /// nothing that it wrote is in doubt. Whoever it was asked to leave for owns the queue from then on, if that one is there and
    /// stays; else nobody does. May be said again.
    ///
    /// Cancelled, it may or may not have been said.
    ///
    /// # Errors
    /// [`CoordinatorError::Overtaken`] if the queue is not this life's in this epoch any more: there is nothing left to release.
    fn release(
        &self,
        queue: &QueueName,
        epoch: u64,
        clean: bool,
    ) -> impl Future<Output = Result<(), CoordinatorError>> + Send;

    /// Claims the queue anew, in the next epoch, before this sender attaches to it again: after it lost its attachment, or as a later
    /// life of the member that owns it. Of several that claim in one epoch, one gets it. `predecessor_dead`: what was attached before
    /// cannot write any more, for the file lock proves its process dead, or it was this process's own and its lease is ended. May be
    /// said again: who already has it gets it as it is.
    ///
    /// Cancelled, it may or may not have been claimed; the assignment tells.
    ///
    /// # Errors
    /// [`CoordinatorError::Overtaken`] if the queue is another's, or was claimed by another life meanwhile.
    /// [`CoordinatorError::Away`] if nobody can say: in static mode what was owned may be attached again as it is.
    fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> impl Future<Output = Result<OwnedQueue, CoordinatorError>> + Send;

    /// Leaves the fleet, as the last thing of an orderly end, after every queue is released: others need not wait for the session to
    /// run out. Does nothing without a control plane, and while it is away.
    fn leave(&self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

impl<T: Coordinator> Coordinator for std::sync::Arc<T> {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        (**self).assignment()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        (**self).standing()
    }

    fn describe(&self, member: Member) {
        (**self).describe(member);
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        (**self).settled(queue, epoch).await
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        (**self).release(queue, epoch, clean).await
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        (**self).reclaim(queue, epoch, predecessor_dead).await
    }

    async fn leave(&self) {
        (**self).leave().await;
    }
}

/// The queues that this sender owns, and those that it is about to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Each once.
    pub queues: Vec<OwnedQueue>,
    /// Queues that their owners are asked to leave for this sender. It makes itself ready; it attaches to none of them before it is
    /// among `queues`.
    pub coming: Vec<QueueName>,
}

/// One owned queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedQueue {
    /// Which.
    pub queue: QueueName,
    /// The growing number that fences its owner.
    pub epoch: u64,
    /// The queue's own prefetch, equal for all its owners.
    pub prefetch: u16,
    /// Which slots live where in its pool.
    pub slots: SlotMap,
    /// Whether the predecessor is known to write no more: it left a clean note, or its end is proven. If not, the grace is
    /// waited for first.
    pub predecessor_gone: bool,
    /// How much of the grace was over when this sender was made the owner, counted from the broker's word that the predecessor's
    /// last connection is closed.
    pub grace_served: Duration,
    /// Nothing that anybody has written from this queue is in doubt: the last owner left by the one way and said so. What comes
    /// redelivered was never written then, unless the ledger knows its verdict.
    pub left_clean: bool,
    /// An operator holds it: nothing is taken from it.
    pub paused: bool,
    /// What is to be done with it.
    pub tenure: Tenure,
}

impl OwnedQueue {
    /// What an assignment means to one life of a member; `None` if the queue is not that member's.
    pub fn of(assignment: &QueueAssignment, me: &Owner, slots: &SlotMap) -> Option<Self> {
        let owner = assignment.owner.as_ref().filter(|owner| owner.member == me.member)?;
        let tenure = match &assignment.successor {
            _ if owner != me => Tenure::Inherited(owner.incarnation),
            Some(successor) => Tenure::Leave(successor.clone()),
            None => Tenure::Hold,
        };
        Some(Self {
            queue: assignment.queue.clone(),
            epoch: assignment.epoch,
            prefetch: assignment.prefetch,
            slots: slots.clone(),
            predecessor_gone: assignment.predecessor_gone,
            grace_served: Duration::from_millis(assignment.ended_ms),
            left_clean: assignment.note.is_some_and(|note| note.clean && note.epoch + 1 == assignment.epoch),
            paused: assignment.paused,
            tenure,
        })
    }

    /// Whether a session under `self` may go on under `other`: the same queue, epoch and duties. That the predecessor is gone, or how much
    /// of the grace is over, may become known meanwhile; it ends no session.
    pub fn same_session(&self, other: &Self) -> bool {
        let Self { predecessor_gone, grace_served, .. } = *other;
        *other == Self { predecessor_gone, grace_served, ..self.clone() }
    }
}

/// What an owner is to do with its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenure {
    /// Send from it.
    Hold,
    /// This earlier life of this member owns it: [`Coordinator::reclaim`] it, then attach.
    Inherited(Incarnation),
    /// Leave it and [`Coordinator::release`] it, for this successor.
    Leave(MemberId),
}

/// An owner's word on its queue, as every store takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// [`Coordinator::settled`].
    Settled,
    /// [`Coordinator::release`].
    Released {
        /// Nothing that the owner wrote is in doubt.
        clean: bool,
    },
    /// [`Coordinator::reclaim`].
    Reclaimed {
        /// What was attached before cannot write any more.
        predecessor_dead: bool,
    },
}

impl Word {
    /// What the word, said by `me` of a queue in `epoch`, makes of what is stored; `None` if it has been heard before. `heir`: the
    /// present life of the stored successor, if it is there and stays; only a release asks for it.
    ///
    /// # Errors
    /// [`CoordinatorError::Overtaken`] if `me` has no say in the queue any more.
    pub fn of(
        self,
        me: &Owner,
        epoch: u64,
        stored: &QueueAssignment,
        heir: Option<Owner>,
    ) -> Result<Option<QueueAssignment>, CoordinatorError> {
        let by = me.clone();
        let (heard, change) = match self {
            Self::Settled => (
                stored.epoch == epoch && stored.is_owned_by(me) && stored.predecessor_gone,
                Change::Settled { by },
            ),
            // Nobody but its owner writes a note of this epoch, as its last word.
            Self::Released { clean } => {
                let heir = heir.filter(|heir| stored.comes_to(&heir.member));
                let change = match heir {
                    Some(to) => Change::HandOver { by, to, clean },
                    None => Change::Release { by, clean },
                };
                (stored.note.is_some_and(|note| note.epoch == epoch), change)
            }
            Self::Reclaimed { predecessor_dead } => {
                (stored.epoch > epoch && stored.is_owned_by(me), Change::Reclaim { by, predecessor_dead })
            }
        };
        if heard {
            return Ok(None);
        }
        if stored.epoch != epoch {
            let why = format!("{} is in epoch {}, no more in {epoch}", stored.queue, stored.epoch);
            return Err(CoordinatorError::Overtaken(why));
        }
        let next = stored.apply(&change);
        next.map(Some).map_err(|why| CoordinatorError::Overtaken(format!("{}: {why}", stored.queue)))
    }
}

/// How a sender stands with its coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// There is no control plane: what it was told at its start stands.
    Alone,
    /// It is a member, and the coordinator answers.
    Joined,
    /// Static mode: the coordinator does not answer; the last assignment stands.
    Away {
        /// Since when, by this host's wall clock.
        since: Timestamp,
        /// Why, as far as is known.
        why: String,
    },
    /// A later life of the same member has taken its place for good: it owns nothing any more and should end.
    Replaced(Incarnation),
}

/// Why the coordinator did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError {
    /// It does not answer. Whether the change was made is not known.
    #[error("the coordinator is away: {0}")]
    Away(String),
    /// Somebody else decided meanwhile. Nothing was changed; what is read next tells.
    #[error("somebody else was first: {0}")]
    Overtaken(String),
    /// It answers, and will not. Nothing was changed; a person must look.
    #[error("the coordinator refuses: {0}")]
    Refused(String),
}
