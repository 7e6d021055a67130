//! The half-gone guard: when more than half of the fleet is lost at once, nothing is seized without an operator.

use std::collections::BTreeSet;

use super::board::Presence;
use super::outcome::HeldFor;
use super::round::Round;
use crate::fleet::MemberId;

impl Round<'_> {
    /// Whether seizing is held. An operator's release covers those who are lost when it is seen, and nobody later.
    pub(super) fn half_gone(&mut self) -> bool {
        let lost: BTreeSet<&MemberId> = self
            .board
            .peers
            .iter()
            // Whose queues are all paused has none that could be seized, however long ago it went.
            .filter(|peer| peer.owns > peer.paused && peer.presence != Presence::Present)
            .map(|peer| peer.id)
            .collect();
        self.memory.released.retain(|id| lost.contains(id));
        let open: Vec<&MemberId> =
            lost.iter().filter(|id| !self.memory.released.contains(**id)).copied().collect();
        // While it holds, the losses that led to it are not forgotten.
        let asked_at = self.memory.half_gone_since.unwrap_or(self.now);
        let mut recent = 0usize;
        for (id, remembered) in &self.memory.members {
            let since = remembered.lost_since.filter(|_| remembered.lost_queues && !lost.contains(id));
            let Some(since) = since else { continue };
            let ends = since.plus(self.policy.half_gone_window);
            if asked_at < ends {
                recent += 1;
                self.wake.at(ends);
            }
        }
        let there = self.board.peers.iter().filter(|peer| peer.presence == Presence::Present).count();
        let gone = open.len() + recent;
        let holds = !open.is_empty() && gone * 100 > (gone + there) * self.policy.half_gone_percent as usize;
        if !holds {
            self.memory.half_gone_since = None;
            if let Some(wish) = self.orders.release.take() {
                self.orders.fulfilled(wish);
            }
            return false;
        }
        if let Some(wish) = self.orders.release.take() {
            self.memory.half_gone_since = None;
            self.memory.released.extend(lost.into_iter().cloned());
            for remembered in self.memory.members.values_mut() {
                remembered.lost_queues = false;
            }
            self.orders.fulfilled(wish);
            return false;
        }
        self.memory.half_gone_since = Some(asked_at);
        let dead = |id: &&MemberId| {
            let peer = self.board.peer(id).map(|peer| self.board.peers[peer].presence);
            matches!(peer, Some(Presence::Lost(_)))
        };
        if !open.iter().any(dead) {
            let why = format!("{gone} of {} members lost their connection at once", gone + there);
            self.hold(HeldFor::Broker, why);
            return true;
        }
        let names: Vec<&str> = open.iter().take(8).map(|id| id.as_str()).collect();
        let why = format!(
            "{gone} of {} members are gone at once ({}{}); their queues wait for them, or for an operator to release the hold",
            gone + there,
            names.join(", "),
            if open.len() > names.len() { ", …" } else { "" },
        );
        self.hold(HeldFor::HalfGone, why);
        true
    }
}
