//! Whose connections are to be closed: former owners that may be frozen and not know. Level-based: what is still open is closed
//! again, until it is gone or the time is over.

use std::collections::BTreeMap;
use std::time::Duration;

use skein_core::QueueName;
use skein_core::fleet::Owner;
use skein_core::lease::BootMillis;

use crate::connections::{Connections, LIST_EVERY, UNLISTED_MAX};

/// How long a former owner is looked after. A thawed one finds out by itself.
const KEPT: Duration = Duration::from_secs(300);
/// The most at once.
const KICKS_MAX: usize = 4096;
/// How often one is looked at: the management API does not know a young connection for some seconds.
const AGAIN: Duration = Duration::from_millis(500);

/// How long somebody else's connection to an owned queue may be open before it is taken for a former owner's: longer than the
/// broker's word of its end, or ours of a new owner, is on its way.
const STRAY_AFTER: Duration = Duration::from_secs(2);
/// The same where only the listing tells of its end.
const STRAY_AFTER_UNHEARD: Duration = LIST_EVERY.saturating_add(UNLISTED_MAX);

/// Former owners, each with the queue that was taken from it.
#[derive(Debug, Default)]
pub struct Kicks {
    former: Vec<Former>,
    /// Since when somebody who is not a queue's owner is seen attached to it.
    strays: BTreeMap<(Owner, QueueName), BootMillis>,
}

#[derive(Debug)]
struct Former {
    owner: Owner,
    queue: QueueName,
    since: BootMillis,
    /// When it was last seen to have something open.
    seen: Option<BootMillis>,
}

/// A connection to close now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kick {
    /// Whose it is.
    pub owner: Owner,
    /// To which queue.
    pub queue: QueueName,
    /// The broker's name of it.
    pub connection: String,
}

impl Kicks {
    /// A queue was taken from an owner that did not release it. To be said only once that is written.
    pub fn taken(&mut self, owner: Owner, queue: QueueName, at: BootMillis) {
        self.former.retain(|former| !(former.owner == owner && former.queue == queue));
        if self.former.len() < KICKS_MAX {
            self.former.push(Former { owner, queue, since: at, seen: None });
        }
    }

    /// Looks for former owners that this monitor has not taken a queue from itself: another led then, or it was elsewhere. `owner`
    /// says who owns a queue now, `comes` whether it is about to be somebody's, who makes himself ready; `heard` whether the broker tells of
    /// connections that end: unheard, what ended is known by the listing alone.
    pub fn look<'a>(
        &mut self,
        connections: &Connections,
        owner: impl Fn(&QueueName) -> Option<&'a Owner>,
        comes: impl Fn(&Owner, &QueueName) -> bool,
        heard: bool,
        now: BootMillis,
    ) {
        let patience = if heard { STRAY_AFTER } else { STRAY_AFTER_UNHEARD };
        let mut before = std::mem::take(&mut self.strays);
        for (life, queue) in connections.attached() {
            if owner(&queue).is_none_or(|owner| owner == life) || comes(life, &queue) {
                continue;
            }
            let stray = (life.clone(), queue);
            let since = before.remove(&stray).unwrap_or(now);
            let known = self.former.iter().any(|f| f.owner == stray.0 && f.queue == stray.1);
            if !known && now.since(since) >= patience {
                self.taken(stray.0.clone(), stray.1.clone(), now);
            }
            self.strays.insert(stray, since);
        }
    }

    /// What is open of them and due. `owns` says who owns a queue now, `comes` whose it is about to be: who has it again, or makes himself
    /// ready for it, is left alone.
    pub fn due(
        &mut self,
        connections: &Connections,
        owns: impl Fn(&Owner, &QueueName) -> bool,
        comes: impl Fn(&Owner, &QueueName) -> bool,
        now: BootMillis,
    ) -> Vec<Kick> {
        self.former.retain(|former| now.since(former.since) < KEPT && !owns(&former.owner, &former.queue));
        let mut due = Vec::new();
        for former in &mut self.former {
            let open = connections.to_queue(&former.owner, &former.queue);
            if open.is_empty() || former.seen.is_some_and(|seen| now.since(seen) < AGAIN) {
                continue;
            }
            former.seen = Some(now);
            if comes(&former.owner, &former.queue) {
                continue;
            }
            let kick =
                |connection| Kick { owner: former.owner.clone(), queue: former.queue.clone(), connection };
            due.extend(open.into_iter().map(kick));
        }
        due
    }

    /// When something becomes due by time alone, after this: what is due already and was not asked for waits for who asks.
    pub fn wake(&self, connections: &Connections, now: BootMillis) -> Option<BootMillis> {
        let open = |former: &&Former| !connections.to_queue(&former.owner, &former.queue).is_empty();
        let again = self.former.iter().filter(open).filter_map(|former| former.seen);
        again.map(|seen| seen.plus(AGAIN)).filter(|again| *again > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::fleet::{Incarnation, MemberId};

    #[test]
    fn a_new_leader_finds_former_owners_by_what_they_have_open() {
        let life = |n| Owner {
            member: MemberId::parse(&format!("s{n}")).unwrap(),
            incarnation: Incarnation(format!("00000000-0000-0000-0000-00000000000{n}").parse().unwrap()),
        };
        let (former, owner) = (life(1), life(2));
        let queue = QueueName::parse("im.q3").unwrap();
        let mut connections = Connections::default();
        connections.opened("a", &format!("{}/im.q3", former.connection_name()), BootMillis(0));
        connections.opened("b", &format!("{}/im.q3", owner.connection_name()), BootMillis(0));
        connections.opened("c", &format!("{}/presence", former.connection_name()), BootMillis(0));
        let owns = |life: &Owner, of: &QueueName| *life == owner && *of == queue;
        let mut kicks = Kicks::default();
        let mut due = |at| {
            kicks.look(
                &connections,
                |of| (*of == queue).then_some(&owner),
                |_, _| false,
                true,
                BootMillis(at),
            );
            kicks.due(&connections, owns, |_, _| false, BootMillis(at))
        };
        assert!(due(1_000).is_empty(), "its end may be on its way");
        assert!(due(2_999).is_empty());
        let kicked: Vec<_> = due(3_000).into_iter().map(|kick| kick.connection).collect();
        assert_eq!(kicked, ["a"], "the former owner's to that queue, and nothing else");
        let mut kicks = Kicks::default();
        let mut unheard = |at| {
            kicks.look(&connections, |_| Some(&owner), |_, _| false, false, BootMillis(at));
            kicks.due(&connections, owns, |_, _| false, BootMillis(at)).len()
        };
        assert_eq!(
            (unheard(1_000), unheard(35_999), unheard(36_000)),
            (0, 0, 1),
            "it may have ended unheard"
        );
        let mut kicks = Kicks::default();
        kicks.look(&connections, |_| None, |_, _| false, true, BootMillis(1_000));
        kicks.look(&connections, |_| None, |_, _| false, true, BootMillis(9_000));
        assert!(
            kicks.due(&connections, owns, |_, _| false, BootMillis(9_000)).is_empty(),
            "nobody waits for it"
        );
        let mut kicks = Kicks::default();
        kicks.look(&connections, |_| Some(&owner), |_, _| true, true, BootMillis(1_000));
        kicks.look(&connections, |_| Some(&owner), |_, _| true, true, BootMillis(9_000));
        assert!(
            kicks.due(&connections, owns, |_, _| true, BootMillis(9_000)).is_empty(),
            "it is about to be its own"
        );
        // The same of one from which this monitor has taken the queue itself, and to which it comes back.
        kicks.taken(former.clone(), queue.clone(), BootMillis(9_000));
        assert!(kicks.due(&connections, owns, |_, _| true, BootMillis(9_000)).is_empty());
        let again = kicks.wake(&connections, BootMillis(9_000)).expect("it has the queue open");
        assert_eq!(again, BootMillis(9_000).plus(AGAIN), "no pass follows at once while it comes");
        assert_eq!(kicks.wake(&connections, again), None, "nor in a monitor that does not lead any more");
        assert!(kicks.due(&connections, owns, |_, _| true, again).is_empty());
        assert_eq!(kicks.wake(&connections, again), Some(again.plus(AGAIN)));
        let kicked = kicks.due(&connections, owns, |_, _| false, again.plus(AGAIN));
        assert_eq!(kicked.len(), 1, "it does not come after all");
    }
}
