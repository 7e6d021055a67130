//! How an assignment may change: each rule once, pure, for the store in memory, for ZooKeeper and for the simulation alike.

use serde::{Deserialize, Serialize};

use super::assignment::{Cause, Note, Owner, QueueAssignment};
use super::member::MemberId;

/// One change of one queue's assignment. The monitor's: [`Change::Assign`], [`Change::Ask`], [`Change::Withdraw`],
/// [`Change::Pause`], [`Change::Resume`], [`Change::Prefetch`]. The owner's: [`Change::Release`], [`Change::HandOver`],
/// [`Change::Reclaim`], [`Change::Settled`]. Each is written as a compare-and-set against the assignment it was decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A new owner, in the next epoch.
    Assign {
        /// Who.
        to: Owner,
        /// Why.
        cause: Cause,
        /// The kernel vouches that the owner so far is dead: `to` is a later life of the same member and holds its file lock.
        predecessor_dead: bool,
        /// For how long the broker has known every connection of the owner so far to be closed, in milliseconds; 0 if it does not
        /// say so. So much of the grace is over.
        ended_ms: u64,
    },
    /// The owner is asked to leave, for a successor.
    Ask {
        /// For whom.
        successor: MemberId,
        /// Why.
        cause: Cause,
    },
    /// The owner is no longer asked to leave.
    Withdraw,
    /// The owner has left: nothing of its own is in flight, and its socket is shut.
    Release {
        /// Who leaves.
        by: Owner,
        /// Nothing it wrote is in doubt.
        clean: bool,
    },
    /// The owner has left, as with [`Change::Release`], and whoever it was asked to leave for owns the queue from here on, in the next
    /// epoch: a release and the assignment after it in one write, without a monitor between them.
    HandOver {
        /// Who leaves.
        by: Owner,
        /// The present life of the successor that the monitor has named.
        to: Owner,
        /// Nothing that `by` wrote is in doubt.
        clean: bool,
    },
    /// The owning member attaches anew, in the next epoch: after a restart in place, or after it lost its attachment.
    Reclaim {
        /// The member, in its present life.
        by: Owner,
        /// The attachment before this one cannot write any more: the file lock proves its process dead, or it was this process's
        /// own and its lease is ended.
        predecessor_dead: bool,
    },
    /// The owner has waited the grace out: whoever came before it writes no more.
    Settled {
        /// The owner.
        by: Owner,
    },
    /// The owner takes nothing from the queue, and it is not moved.
    Pause,
    /// The opposite of [`Change::Pause`].
    Resume,
    /// Another prefetch.
    Prefetch {
        /// How many deliveries may be unacked, at least 1.
        to: u16,
        /// The broker holds nothing of the queue, neither ready nor unacked: read after its owner released it.
        empty: bool,
    },
}

/// Why a change does not apply. Whoever wanted it reads the assignment again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It comes from somebody who does not own the queue (any more).
    #[error("the queue is not owned by this member in this life; read the assignment again")]
    NotTheOwner,
    /// There is nobody to ask.
    #[error("the queue has no owner; assign it instead")]
    NoOwner,
    /// Nobody, somebody else, or nobody now is to take it.
    #[error("the queue is not to go to this member; release it instead")]
    NotTheSuccessor,
    /// A smaller prefetch while something of the queue may be unacked or returned.
    #[error("prefetch shrinks only while the queue is released and empty; drain it first")]
    PrefetchWouldShrink,
}

impl QueueAssignment {
    /// The assignment after a change.
    pub fn apply(&self, change: &Change) -> Result<Self, Refused> {
        let mut next = self.clone();
        match change {
            Change::Assign { to, cause, predecessor_dead, ended_ms } => {
                let proven = *predecessor_dead && self.predecessor_gone;
                next.predecessor_gone = self.released_clean() || proven;
                next.own(to.clone(), *cause);
                // An owner that was still waiting its own grace out ends nobody else's.
                next.ended_ms = if self.predecessor_gone { *ended_ms } else { 0 };
            }
            Change::Ask { successor, cause } => {
                if self.owner.is_none() {
                    return Err(Refused::NoOwner);
                }
                next.successor = Some(successor.clone());
                next.cause = *cause;
            }
            Change::Withdraw => next.successor = None,
            Change::Release { by, clean } => {
                self.check_owner(by)?;
                next.note = Some(self.note(*clean));
                next.owner = None;
            }
            Change::HandOver { by, to, clean } => {
                self.check_owner(by)?;
                if self.paused || self.successor.as_ref() != Some(&to.member) {
                    return Err(Refused::NotTheSuccessor);
                }
                let note = self.note(*clean);
                next.note = Some(note);
                next.predecessor_gone = note.clean;
                next.own(to.clone(), self.cause);
            }
            Change::Reclaim { by, predecessor_dead } => {
                if self.owner.as_ref().is_none_or(|owner| owner.member != by.member) {
                    return Err(Refused::NotTheOwner);
                }
                next.predecessor_gone = *predecessor_dead && self.predecessor_gone;
                let (successor, cause) = (self.successor.clone(), self.cause);
                next.own(by.clone(), Cause::Reclaimed);
                if successor.is_some() || cause == Cause::Operator {
                    (next.successor, next.cause) = (successor, cause);
                }
            }
            Change::Settled { by } => {
                self.check_owner(by)?;
                next.predecessor_gone = true;
            }
            Change::Pause => next.paused = true,
            Change::Resume => next.paused = false,
            Change::Prefetch { to, empty } => {
                let may_shrink = *empty && self.released_clean();
                if *to < self.prefetch && !may_shrink {
                    return Err(Refused::PrefetchWouldShrink);
                }
                next.prefetch = (*to).max(1);
            }
        }
        Ok(next)
    }

    /// The note of an owner that leaves now: one that leaves within its own grace cannot vouch for whoever was before it.
    fn note(&self, clean: bool) -> Note {
        Note { epoch: self.epoch, clean: clean && self.predecessor_gone }
    }

    fn own(&mut self, owner: Owner, cause: Cause) {
        self.epoch += 1;
        self.ended_ms = 0;
        self.owner = Some(owner);
        self.successor = None;
        self.cause = cause;
    }

    fn check_owner(&self, by: &Owner) -> Result<(), Refused> {
        if self.is_owned_by(by) { Ok(()) } else { Err(Refused::NotTheOwner) }
    }
}

#[cfg(test)]
mod tests;
