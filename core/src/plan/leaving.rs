//! Who must hand its queues over: succeeded, quarantined or draining members.

use super::board::Presence;
use super::round::Round;
use crate::fleet::Cause;

impl Round<'_> {
    /// Whether whoever served a pool has stopped by its own will: each of its queues was released in order and not taken since, or is
    /// owned by a member that is draining by its own word. An operator who drains the last one has made a mistake instead.
    pub(super) fn stopped_in_order(&self, pool: usize) -> bool {
        self.board.entries.iter().filter(|e| e.pool == pool).all(|e| match e.owner {
            None => e.seen.assignment.note.is_some_and(|note| note.epoch == e.seen.assignment.epoch),
            Some(owner) => {
                let peer = &self.board.peers[owner];
                peer.presence == Presence::Present && peer.seen.is_some_and(|s| s.member.draining)
            }
        })
    }

    /// Marks who leaves and why, and who takes whose place.
    pub(super) fn mark_leaving(&mut self) {
        for at in 0..self.board.peers.len() {
            let peer = &mut self.board.peers[at];
            let drains = peer.seen.is_some_and(|s| s.member.draining);
            if self.orders.quarantined.contains_key(peer.id) {
                peer.leaving = Some(Cause::Quarantine);
            } else if drains || self.orders.drained.contains_key(peer.id) {
                peer.leaving = Some(Cause::Drain);
            }
        }
        for at in 0..self.board.peers.len() {
            let peer = &self.board.peers[at];
            let Some(succeeds) = peer.seen.and_then(|s| s.member.succeeds.as_ref()) else { continue };
            let there = peer.presence == Presence::Present && peer.leaving.is_none();
            let Some(elder) = self.board.peer(&succeeds.member).filter(|elder| *elder != at) else {
                continue;
            };
            let old = &self.board.peers[elder];
            let same_life = old.seen.is_none_or(|s| s.member.incarnation == succeeds.incarnation);
            if there && same_life && old.successor.is_none() {
                let owns = old.owns > 0;
                self.board.peers[elder].successor = Some(at);
                self.board.peers[elder].leaving = Some(Cause::Succession);
                self.board.peers[at].reserved = owns;
            }
        }
        for peer in &self.board.peers {
            if let Some(remembered) = self.memory.members.get_mut(peer.id)
                && peer.seen.is_some()
            {
                remembered.was_leaving = peer.leaving.is_some();
            }
        }
    }
}
