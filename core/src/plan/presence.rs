//! Who is there: an in-place restart gets its grace, a restart of the broker is not taken for a death, joins are debounced.

use super::board::{Board, Presence};
use super::memory::{Memory, Remembered};
use super::observed::{BrokerSeen, Connection};
use super::round::Wake;
use crate::fleet::{Cause, Policy};
use crate::lease::BootMillis;

/// From how many members on closed connections can be the broker's doing.
const MASS_CLOSE_MIN: usize = 2;

/// Judges every member, and remembers what later calls need.
pub(super) fn judge(
    board: &mut Board<'_>,
    broker: BrokerSeen,
    policy: &Policy,
    memory: &mut Memory,
    wake: &mut Wake,
) {
    let now = wake.now();
    doubt_the_broker(board, policy, memory, now);
    let proves_from = match broker {
        BrokerSeen::Up => memory.broker_doubted_until,
        BrokerSeen::Back { at } => at.plus(policy.broker_debounce).max(memory.broker_doubted_until),
        BrokerSeen::Away => BootMillis(u64::MAX),
    };
    for peer in &mut board.peers {
        let remembered = match memory.members.get_mut(peer.id) {
            Some(remembered) => remembered,
            None => memory.members.entry(peer.id.clone()).or_default(),
        };
        let Some(seen) = peer.seen else {
            peer.presence = Presence::Lost(Cause::SessionGone);
            remembered.lost(peer.owns > 0, now);
            continue;
        };
        peer.presence = match seen.connection {
            Connection::Open => Presence::Present,
            Connection::Closed { at } => {
                let until = at.plus(policy.restart_grace).max(proves_from);
                wake.at(until);
                if now < until { Presence::Suspect } else { Presence::Lost(Cause::BrokerDead) }
            }
        };
        remembered.forgive(policy, now);
        if let Presence::Lost(_) = peer.presence {
            remembered.lost(peer.owns > 0, now);
            continue;
        }
        if remembered.incarnation != Some(seen.member.incarnation) {
            remembered.incarnation = Some(seen.member.incarnation);
            remembered.since = now;
            remembered.apns_trouble.clear();
        }
        if peer.presence == Presence::Present && remembered.lost_since.take().is_some() {
            remembered.since = now;
            remembered.note_return(policy, now);
        }
        remembered.note_apns(&seen.member.pools, policy, wake);
        peer.troubled = remembered.troubled(wake);
        peer.fresh = wake.before(remembered.since.plus(policy.join_debounce));
        peer.out = wake.before(remembered.out_until).then_some(remembered.out_until);
    }
    forget(board, policy, memory, now);
}

/// So many connections closed that it was the broker, not its clients: for a while none of that proves a death.
fn doubt_the_broker(board: &Board<'_>, policy: &Policy, memory: &mut Memory, now: BootMillis) {
    let sessions = board.peers.iter().filter_map(|p| p.seen);
    let (mut all, mut closed) = (0usize, 0usize);
    for seen in sessions {
        all += 1;
        closed += usize::from(seen.connection != Connection::Open);
    }
    if closed >= MASS_CLOSE_MIN && closed * 100 > all * policy.half_gone_percent as usize {
        memory.broker_doubted_until = now.plus(policy.broker_debounce);
    }
}

/// Members that are away and own nothing: lost now, or forgotten at last.
fn forget(board: &Board<'_>, policy: &Policy, memory: &mut Memory, now: BootMillis) {
    let kept = policy.flap_window.max(policy.half_gone_window);
    memory.members.retain(|id, remembered| {
        if board.peer(id).is_some() {
            return true;
        }
        remembered.lost(false, now);
        let last = remembered.lost_since.unwrap_or(now).max(remembered.out_until);
        !remembered.was_leaving && now.since(last) < kept
    });
}

impl Remembered {
    fn lost(&mut self, owns: bool, now: BootMillis) {
        if self.lost_since.is_none() {
            self.lost_since = Some(now);
            self.lost_queues = owns;
            if owns || !self.was_leaving {
                self.note_loss(now);
            }
        }
    }
}
