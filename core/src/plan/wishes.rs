//! What operators want, folded in the order in which they wished: a later word on the same thing takes the place of an earlier.

use std::collections::BTreeMap;

use super::board::Tier;
use super::outcome::{Answer, Answered};
use super::round::Round;
use crate::fleet::{Change, MemberId, Quarantine, Wanted, Wish, WishId};
use crate::pool::QueueName;

/// The wishes that stand.
#[derive(Default)]
pub(super) struct Orders<'a> {
    pub drained: BTreeMap<&'a MemberId, WishId>,
    pub quarantined: BTreeMap<&'a MemberId, &'a Quarantine>,
    pub paused: BTreeMap<&'a QueueName, (bool, &'a Wish)>,
    pub moves: BTreeMap<&'a QueueName, (&'a MemberId, WishId)>,
    pub rebalance: Option<WishId>,
    pub release: Option<WishId>,
    pub answered: Vec<Answered>,
}

impl<'a> Orders<'a> {
    /// Folds wishes, in any order given.
    pub fn read(wishes: &'a [Wish], quarantines: &'a [Quarantine]) -> Self {
        let mut orders = Self::default();
        orders.quarantined.extend(quarantines.iter().map(|q| (&q.member, q)));
        let mut wishes: Vec<&Wish> = wishes.iter().collect();
        wishes.sort_unstable_by_key(|wish| wish.id);
        for wish in wishes {
            let id = wish.id;
            let before = match &wish.wanted {
                Wanted::Drain { member } => orders.drained.insert(member, id),
                Wanted::Undrain { member } => {
                    orders.fulfilled(id);
                    orders.drained.remove(member)
                }
                Wanted::Pause { queue } => orders.paused.insert(queue, (true, wish)).map(|(_, w)| w.id),
                Wanted::Resume { queue } => orders.paused.insert(queue, (false, wish)).map(|(_, w)| w.id),
                Wanted::Move { queue, to } => orders.moves.insert(queue, (to, id)).map(|(_, id)| id),
                Wanted::Rebalance => orders.rebalance.replace(id),
                Wanted::ReleaseHold => orders.release.replace(id),
            };
            if let Some(before) = before {
                orders.refused(before, "a later wish takes its place".to_owned());
            }
        }
        orders
    }

    pub fn fulfilled(&mut self, wish: WishId) {
        self.answered.push(Answered { wish, answer: Answer::Fulfilled });
    }

    pub fn refused(&mut self, wish: WishId, why: String) {
        self.answered.push(Answered { wish, answer: Answer::Refused { why } });
    }
}

impl Round<'_> {
    /// Pauses and resumes queues. The wish to pause stands for as long as the queue is paused, and says whose it is.
    pub(super) fn pause_and_resume(&mut self) {
        let wanted: Vec<_> =
            self.orders.paused.iter().map(|(queue, (pause, wish))| (*queue, *pause, *wish)).collect();
        for (queue, pause, wish) in wanted {
            let id = wish.id;
            let found = self.board.entries.binary_search_by_key(&queue, |e| &e.seen.assignment.queue);
            let Ok(entry) = found else {
                self.orders.refused(id, format!("there is no queue {queue}"));
                continue;
            };
            if self.board.entries[entry].seen.assignment.paused == pause {
                if !pause {
                    self.orders.fulfilled(id);
                }
                continue;
            }
            let (change, word) = if pause { (Change::Pause, "pause") } else { (Change::Resume, "resume") };
            let why = format!("an operator wishes to {word} it, {}", wish.whose());
            self.change(entry, change, None, why);
        }
    }

    /// Answers every wish to move a queue that is done or can't be; what is left stands and can be.
    pub(super) fn judge_operator_moves(&mut self) {
        let wanted: Vec<_> = self.orders.moves.iter().map(|(queue, (to, id))| (*queue, *to, *id)).collect();
        for (queue, to, id) in wanted {
            let refusal = self.operator_move(queue, to);
            if let Some(answer) = refusal {
                self.orders.moves.remove(queue);
                match answer {
                    Answer::Fulfilled => self.orders.fulfilled(id),
                    Answer::Refused { why } => self.orders.refused(id, why),
                }
            }
        }
    }

    fn operator_move(&self, queue: &QueueName, to: &MemberId) -> Option<Answer> {
        let refused = |why: String| Some(Answer::Refused { why });
        let found = self.board.entries.binary_search_by_key(&queue, |e| &e.seen.assignment.queue);
        let Ok(entry) = found else { return refused(format!("there is no queue {queue}")) };
        let entry = &self.board.entries[entry];
        let Some(peer) = self.board.peer(to) else { return refused(format!("{to} is not in the fleet")) };
        if entry.owner == Some(peer) {
            return Some(Answer::Fulfilled);
        }
        if entry.seen.assignment.paused {
            return refused(format!("{queue} is paused; resume it first"));
        }
        if self.board.health(peer, entry.pool).is_none() {
            return refused(format!("{to} has no credential for {}", queue.pool));
        }
        match self.board.tier(peer, entry.pool) {
            Tier::Never => refused(format!("{to} is leaving or does not reach the broker")),
            Tier::Sick => refused(format!("APNs does not serve {} at {to}", queue.pool)),
            Tier::Settled | Tier::Fresh | Tier::LastResort | Tier::Shunned => None,
        }
    }
}
