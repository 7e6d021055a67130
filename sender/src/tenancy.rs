//! What a session is to do next about its queue, and what it knows of it between two attachments: a pure decision over what the
//! coordinator says.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use skein_core::fleet::Incarnation;
use skein_core::lease::BootMillis;
use skein_core::seam::{OwnedQueue, Tenure};
use tokio::time::Instant;

/// How long an owner goes on sending after it is asked to leave for a successor, who opens its connections meanwhile: opened only
/// then, they would be most of the gap.
pub const NOTICE: Duration = Duration::from_millis(100);

/// The next step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Attach, and send what comes.
    Serve,
    /// Claim the queue anew before attaching. `predecessor_dead`: whatever was attached before cannot write any more.
    Claim {
        /// The kernel or this process itself vouches for that.
        predecessor_dead: bool,
    },
    /// Say that it is left.
    Release,
    /// Nothing, until the coordinator says something new.
    Wait,
    /// The queue is not this sender's any more.
    End,
}

/// What the coordinator says of a queue that is this sender's, and when this sender heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The queue.
    pub owned: OwnedQueue,
    /// When.
    pub at: BootMillis,
}

/// What a session knows of its queue.
#[derive(Debug, Clone)]
pub struct Tenancy {
    /// The queue, as this session last understood it.
    pub owned: OwnedQueue,
    /// Nothing that anybody wrote from the queue is in doubt, as of now.
    pub clean: bool,
    /// It was attached under this epoch and lost the attachment.
    lost: bool,
    released: bool,
    /// When the coordinator said that it is this sender's, in this epoch. `None`: it is attached to without a claim, and what was said of
    /// its predecessor before that counts no more.
    said: Option<BootMillis>,
    /// When it was first seen that the queue is to be left for a successor.
    asked: Cell<Option<Instant>>,
}

impl Tenancy {
    /// A queue that has just been assigned.
    pub fn new(Said { owned, at }: Said) -> Self {
        // An earlier life of this member was given a clean queue perhaps, and has written since.
        let inherited = matches!(owned.tenure, Tenure::Inherited(_));
        Self {
            clean: owned.left_clean && !inherited,
            owned,
            lost: false,
            released: false,
            said: Some(at),
            asked: Cell::default(),
        }
    }

    /// Takes in what the coordinator says now and decides. An older epoch than what was claimed is old news. `dead` are the earlier
    /// lives of this member that the kernel vouches for.
    pub fn next(&mut self, wanted: Option<&Said>, dead: &[Incarnation]) -> Step {
        let Some(wanted) = wanted else {
            return if self.released { Step::End } else { Step::Release };
        };
        let owned = &wanted.owned;
        if owned.epoch > self.owned.epoch {
            *self = Self::new(wanted.clone());
        } else if owned.epoch == self.owned.epoch {
            // What this session has found out meanwhile stands.
            let counts = self.said.is_some();
            let predecessor_gone = self.owned.predecessor_gone || counts && owned.predecessor_gone;
            let grace_served = if counts { owned.grace_served } else { Duration::ZERO };
            self.owned = OwnedQueue { predecessor_gone, grace_served, ..owned.clone() };
        }
        match &self.owned.tenure {
            Tenure::Leave(_) if self.released => Step::Wait,
            Tenure::Leave(_) => Step::Release,
            _ if self.owned.paused => Step::Wait,
            Tenure::Inherited(life) => Step::Claim { predecessor_dead: dead.contains(life) },
            // The lease of the lost attachment is ended, and what it had begun is answered and durable.
            Tenure::Hold if self.lost => Step::Claim { predecessor_dead: true },
            Tenure::Hold => Step::Serve,
        }
    }

    /// Whether the attachment that serves this tenancy may go on.
    pub fn may_go_on(&self, wanted: Option<&Said>) -> bool {
        let goes_on = |owned: &OwnedQueue| owned.epoch < self.owned.epoch || self.owned.same_session(owned);
        wanted.is_some_and(|wanted| goes_on(&wanted.owned))
    }

    /// Until when the attachment goes on that may not go on any more; `None`: it ends at once. Only an owner that is asked to leave for
    /// a successor has time.
    pub fn notice(&self, wanted: Option<&Said>, now: Instant) -> Option<Instant> {
        let asked = wanted.map(|wanted| &wanted.owned).filter(|owned| {
            owned.epoch == self.owned.epoch && !owned.paused && matches!(owned.tenure, Tenure::Leave(_))
        });
        let since = asked.map(|_| self.asked.get().unwrap_or(now));
        self.asked.set(since);
        since.map(|since| since + NOTICE)
    }

    /// The claim made at that time is granted, in a new epoch. What was known of the queue is still true: nobody else has had it between.
    pub fn claimed(&mut self, owned: OwnedQueue, at: BootMillis) {
        self.owned = owned;
        (self.lost, self.released, self.said) = (false, false, Some(at));
    }

    /// When the coordinator said what is believed of the predecessor; `None`: nothing is.
    pub fn said(&self) -> Option<BootMillis> {
        self.said
    }

    /// Nobody can say whose it is: it is attached to as it was, and whoever had it meanwhile may have left anything in doubt.
    pub fn unclaimed(&mut self) {
        self.owned.predecessor_gone = false;
        self.owned.grace_served = Duration::ZERO;
        (self.clean, self.lost, self.said) = (false, false, None);
    }

    /// The attachment is lost.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// The queue is left, and whoever waits for it knows.
    pub fn released(&mut self) {
        self.released = true;
    }
}

/// Waits between attempts: doubled each time, with jitter, between two bounds.
pub struct Backoff {
    bounds: (Duration, Duration),
    next: Duration,
    random: u64,
}

impl Backoff {
    /// From the shortest wait to the longest. `apart`: what sets it apart from others that may have begun at the same time.
    pub fn new(bounds: (Duration, Duration), apart: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        apart.hash(&mut hasher);
        Self { bounds, next: bounds.0, random: hasher.finish() | 1 }
    }

    /// It worked.
    pub fn reset(&mut self) {
        self.next = self.bounds.0;
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.bounds.1);
        // Half fixed, half by chance: who was cut off together does not come back together.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        whole / 2 + whole / 2 * (self.random >> 56) as u32 / 255
    }
}

#[cfg(test)]
mod tests {
    use skein_core::fleet::MemberId;
    use skein_core::{PoolName, QueueName, SlotMap};
    use uuid::Uuid;

    use super::*;

    fn owned(epoch: u64, tenure: Tenure) -> Said {
        let owned = OwnedQueue {
            queue: QueueName { pool: PoolName::parse("im").unwrap(), number: 0 },
            epoch,
            prefetch: 100,
            slots: SlotMap::even(4),
            predecessor_gone: true,
            grace_served: Default::default(),
            left_clean: true,
            paused: false,
            tenure,
        };
        Said { owned, at: BootMillis(1) }
    }

    fn paused(said: &Said) -> Said {
        Said { owned: OwnedQueue { paused: true, ..said.owned.clone() }, at: said.at }
    }

    #[test]
    fn from_assignment_to_end() {
        let held = owned(1, Tenure::Hold);
        let mut tenancy = Tenancy::new(held.clone());
        assert_eq!(tenancy.next(Some(&held), &[]), Step::Serve);
        assert!(tenancy.may_go_on(Some(&held)) && !tenancy.may_go_on(None));
        let leave = owned(1, Tenure::Leave(MemberId::parse("s2").unwrap()));
        assert!(!tenancy.may_go_on(Some(&leave)));
        assert_eq!(tenancy.next(Some(&leave), &[]), Step::Release);
        tenancy.released();
        assert_eq!(tenancy.next(Some(&leave), &[]), Step::Wait);
        assert_eq!(tenancy.next(None, &[]), Step::End);
        assert_eq!(tenancy.next(Some(&owned(3, Tenure::Hold)), &[]), Step::Serve, "it is assigned again");
    }

    #[test]
    fn only_who_leaves_for_a_successor_has_notice() {
        let tenancy = Tenancy::new(owned(1, Tenure::Hold));
        let leave = owned(1, Tenure::Leave(MemberId::parse("s2").unwrap()));
        let now = Instant::now();
        let later = now + Duration::from_millis(70);
        assert_eq!(tenancy.notice(Some(&leave), now), Some(now + NOTICE));
        assert_eq!(
            tenancy.notice(Some(&leave), later),
            Some(now + NOTICE),
            "P8: the notice is not begun again"
        );
        assert_eq!(tenancy.notice(Some(&owned(1, Tenure::Hold)), later), None, "the request is taken back");
        assert_eq!(tenancy.notice(Some(&leave), later), Some(later + NOTICE));
        assert_eq!(tenancy.notice(None, later), None);
        assert_eq!(tenancy.notice(Some(&paused(&leave)), later), None);
        assert_eq!(tenancy.notice(Some(&owned(2, leave.owned.tenure)), later), None, "P2: it is another's");
    }

    #[test]
    fn a_lost_attachment_is_claimed_before_the_next() {
        let held = owned(4, Tenure::Hold);
        let mut tenancy = Tenancy::new(held.clone());
        tenancy.lost();
        assert_eq!(tenancy.next(Some(&held), &[]), Step::Claim { predecessor_dead: true });
        tenancy.claimed(owned(5, Tenure::Hold).owned, BootMillis(2));
        assert_eq!(tenancy.next(Some(&held), &[]), Step::Serve, "epoch 4 is old news");
        assert!(tenancy.may_go_on(Some(&held)) && tenancy.may_go_on(Some(&owned(5, Tenure::Hold))));
        assert!(!tenancy.may_go_on(Some(&owned(6, Tenure::Hold))), "P2: it was another's meanwhile");
        tenancy.lost();
        tenancy.unclaimed();
        assert!(!tenancy.clean && !tenancy.owned.predecessor_gone, "P3: somebody may have had it meanwhile");
        let wanted = owned(5, Tenure::Hold);
        assert_eq!(tenancy.next(Some(&wanted), &[]), Step::Serve);
        assert!(!tenancy.owned.predecessor_gone, "P2: what was said before counts no more");
        assert!(tenancy.may_go_on(Some(&wanted)), "P7: nor does it end what goes on");
        tenancy.lost();
        tenancy.claimed(owned(6, Tenure::Hold).owned, BootMillis(2));
        assert_eq!(tenancy.next(Some(&owned(6, Tenure::Hold)), &[]), Step::Serve);
        assert!(tenancy.owned.predecessor_gone);
    }

    #[test]
    fn an_earlier_life_is_proven_dead_or_waited_for() {
        let life = Incarnation(Uuid::from_u128(7));
        let inherited = owned(2, Tenure::Inherited(life));
        let mut tenancy = Tenancy::new(inherited.clone());
        assert_eq!(tenancy.next(Some(&inherited), &[]), Step::Claim { predecessor_dead: false });
        assert_eq!(tenancy.next(Some(&inherited), &[life]), Step::Claim { predecessor_dead: true });
        tenancy.claimed(owned(3, Tenure::Hold).owned, BootMillis(2));
        assert!(!tenancy.clean, "P3: the note is older than what that life has written");
    }

    #[test]
    fn a_paused_queue_is_kept_and_not_served() {
        let mut tenancy = Tenancy::new(owned(1, Tenure::Hold));
        let paused = paused(&owned(1, Tenure::Hold));
        assert!(!tenancy.may_go_on(Some(&paused)));
        assert_eq!(tenancy.next(Some(&paused), &[]), Step::Wait);
        assert_eq!(tenancy.next(Some(&owned(1, Tenure::Hold)), &[]), Step::Serve);
    }
}
