//! What a producer has taken and not yet reported on: the whole state behind its connection, without the connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use hashbrown::HashSet;
use skein_core::id::NotificationKey;
use skein_core::seam::SubmitError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::envelope::Envelope;
use crate::options::{ProducerOptions, Wait};
use crate::order::{Order, Seq};

/// How many keys of unknown outcome are remembered, to mark them when they are submitted again.
const UNKNOWN_KEPT_MAX: usize = 10_000;

pub(crate) const BLOCKED: &str = "the broker blocks publishers (memory or disk alarm)";
const QUEUE_FULL: &str = "its queue is full";
const BEHIND: &str = "an earlier notification of its device token is still under way";

/// A message with what its submitter waits for.
pub(crate) struct Parcel {
    pub(crate) envelope: Envelope,
    pub(crate) wait: Wait,
    pub(crate) submitted: Instant,
    pub(crate) repeat: bool,
    pub(crate) reply: oneshot::Sender<Result<(), SubmitError>>,
    pub(crate) _permit: OwnedSemaphorePermit,
    progress: Progress,
}

#[derive(Default)]
struct Progress {
    stage: Stage,
    first_published: Option<Instant>,
    nacks: u32,
    returned: bool,
    /// Published on a connection that was lost: it may have been accepted.
    in_doubt: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Stage {
    /// Behind an earlier message of one of its tokens.
    #[default]
    Behind,
    Ready,
    UnderWay,
    /// Nacked, and published again then.
    Resting(Instant),
}

impl Parcel {
    pub(crate) fn new(
        envelope: Envelope,
        wait: Wait,
        repeat: bool,
        reply: oneshot::Sender<Result<(), SubmitError>>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let progress = Progress { in_doubt: repeat, ..Progress::default() };
        Self { envelope, wait, submitted: Instant::now(), repeat, reply, _permit: permit, progress }
    }

    fn gives_up(&self, now: Instant) -> bool {
        match self.wait {
            Wait::No => true,
            Wait::For(limit) => now >= self.submitted + limit,
            Wait::Forever => false,
        }
    }
}

/// What the connection can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    Blocked,
    Away,
}

#[derive(Default)]
pub(crate) struct Parcels {
    all: BTreeMap<Seq, Parcel>,
    ready: BTreeSet<Seq>,
    order: Order,
    last: Seq,
    unknown: HashSet<NotificationKey>,
    unknown_in_turn: VecDeque<NotificationKey>,
}

impl Parcels {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn enter(&mut self, mut parcel: Parcel) {
        self.last += 1;
        if !self.unknown.is_empty() && parcel.envelope.keys.iter().any(|k| self.unknown.contains(k)) {
            parcel.repeat = true;
            parcel.progress.in_doubt = true;
        }
        if self.order.enter(self.last, &parcel.envelope.tokens) {
            parcel.progress.stage = Stage::Ready;
            self.ready.insert(self.last);
        }
        self.all.insert(self.last, parcel);
    }

    /// The next to publish, which is under way then. `repeat` tells whether it must be marked.
    pub(crate) fn next(&mut self) -> Option<(Seq, &Parcel)> {
        let seq = self.ready.pop_first()?;
        let parcel = self.all.get_mut(&seq)?;
        parcel.progress.stage = Stage::UnderWay;
        parcel.progress.first_published.get_or_insert_with(Instant::now);
        Some((seq, parcel))
    }

    /// The exchange of something that was published before and waits to be again.
    pub(crate) fn repeats(&self) -> Option<std::sync::Arc<str>> {
        let repeat = |seq: &Seq| self.all.get(seq).filter(|p| p.progress.first_published.is_some());
        self.ready.iter().find_map(repeat).map(|p| std::sync::Arc::clone(&p.envelope.exchange))
    }

    /// The broker had no queue for the message with this id.
    pub(crate) fn returned(&mut self, message_id: &str) {
        for parcel in self.all.values_mut() {
            if parcel.progress.stage == Stage::UnderWay && parcel.envelope.has_id(message_id) {
                parcel.progress.returned = true;
            }
        }
    }

    pub(crate) fn acked(&mut self, seq: Seq) {
        let returned = self.all.get(&seq).is_some_and(|p| p.progress.returned);
        let unbound = "no queue is bound to its slot; run `skein cluster init`";
        self.settle(seq, if returned { Err(SubmitError::Rejected(unbound)) } else { Ok(()) });
    }

    /// The broker refused it: it is tried again after a pause, unless its submitter does not wait. Later ones of its tokens
    /// stay behind it. Gives how often it has been refused.
    pub(crate) fn nacked(&mut self, seq: Seq, options: &ProducerOptions, now: Instant) -> u32 {
        let Some(parcel) = self.all.get_mut(&seq) else { return 0 };
        if parcel.gives_up(now) {
            let known = !parcel.envelope.is_batch() && !parcel.progress.in_doubt;
            let error = if known { SubmitError::BackPressure(QUEUE_FULL) } else { SubmitError::Unknown };
            self.settle(seq, Err(error));
            return 1;
        }
        parcel.progress.nacks += 1;
        parcel.progress.stage = Stage::Resting(now + options.pause(parcel.progress.nacks));
        parcel.repeat = true;
        parcel.progress.nacks
    }

    /// The connection is gone: what was under way is published again, marked, in order.
    pub(crate) fn lost(&mut self) {
        for (seq, parcel) in &mut self.all {
            if parcel.progress.stage == Stage::UnderWay {
                parcel.progress.stage = Stage::Ready;
                parcel.progress.returned = false;
                parcel.progress.in_doubt = true;
                parcel.repeat = true;
                self.ready.insert(*seq);
            }
        }
    }

    /// Wakes what has rested, and gives up what has waited long enough.
    pub(crate) fn tick(&mut self, way: Way, outcome_limit: Duration, now: Instant) {
        let mut ended: Vec<(Seq, SubmitError)> = Vec::new();
        for (seq, parcel) in &mut self.all {
            if matches!(parcel.progress.stage, Stage::Resting(until) if until <= now) {
                parcel.progress.stage = Stage::Ready;
                self.ready.insert(*seq);
            }
            if let Some(since) = parcel.progress.first_published {
                if now >= since + outcome_limit {
                    ended.push((*seq, SubmitError::Unknown));
                }
            } else if parcel.gives_up(now) {
                match way {
                    Way::Blocked => ended.push((*seq, SubmitError::BackPressure(BLOCKED))),
                    Way::Away => ended.push((*seq, SubmitError::Away { waited: now - parcel.submitted })),
                    Way::Open if parcel.wait == Wait::No => {}
                    Way::Open => ended.push((*seq, SubmitError::BackPressure(BEHIND))),
                }
            }
        }
        for (seq, error) in ended {
            self.settle(seq, Err(error));
        }
    }

    /// Ends all that go to an exchange which does not exist.
    pub(crate) fn refuse_exchange(&mut self, exchange: &str) {
        let of = |p: &Parcel| *p.envelope.exchange == *exchange && p.progress.stage != Stage::UnderWay;
        let seqs: Vec<Seq> = self.all.iter().filter(|(_, p)| of(p)).map(|(seq, _)| *seq).collect();
        for seq in seqs {
            let published = self.all.get(&seq).is_some_and(|p| p.progress.first_published.is_some());
            let missing = SubmitError::Rejected("its pool's exchange is missing; run `skein cluster init`");
            self.settle(seq, Err(if published { SubmitError::Unknown } else { missing }));
        }
    }

    fn settle(&mut self, seq: Seq, outcome: Result<(), SubmitError>) {
        let Some(parcel) = self.all.remove(&seq) else { return };
        self.ready.remove(&seq);
        if outcome == Err(SubmitError::Unknown) {
            for key in parcel.envelope.keys.iter().filter(|key| self.unknown.insert(**key)) {
                self.unknown_in_turn.push_back(*key);
            }
            while self.unknown_in_turn.len() > UNKNOWN_KEPT_MAX {
                self.unknown_in_turn.pop_front().map(|key| self.unknown.remove(&key));
            }
        }
        let mut free = Vec::new();
        self.order.leave(seq, &parcel.envelope.tokens, &mut free);
        for seq in free {
            if let Some(next) = self.all.get_mut(&seq) {
                next.progress.stage = Stage::Ready;
                self.ready.insert(seq);
            }
        }
        // A submitter that no longer listens has dropped its future, which is documented as losing the outcome.
        let _ = parcel.reply.send(outcome);
    }
}

#[cfg(test)]
mod tests;
