//! Which ids of a caller's own come for the first time. Their verdict does not say so yet: what was accepted a moment ago has none.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skein_core::lease::BootMillis;
use skein_core::{NotificationId, Timestamp};

/// An id that was made longer ago than this may have been submitted before; a younger one only if it was seen since.
const FRESH: Duration = Duration::from_secs(1);

/// The ids that came within the last second or two. As large as the callers' rates allow: 16 bytes an id.
#[derive(Debug)]
pub(crate) struct Recent {
    /// An earlier process may have accepted what was made before.
    began: BootMillis,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// When the present ones began to be collected; those before are kept as long again.
    since: BootMillis,
    present: HashSet<NotificationId>,
    before: HashSet<NotificationId>,
}

impl Recent {
    pub(crate) fn new(now: BootMillis) -> Self {
        let seen = Seen { since: now, present: HashSet::new(), before: HashSet::new() };
        Self { began: now, seen: Mutex::new(seen) }
    }

    /// Whether one of these may have been submitted before, here or to the process before this one. From now on each has been.
    pub(crate) fn may_be_again(
        &self,
        ids: impl Iterator<Item = NotificationId>,
        now: Timestamp,
        boot: BootMillis,
    ) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if boot.since(seen.since) > FRESH {
            let is_old = boot.since(seen.since) > FRESH * 2;
            let last = std::mem::take(&mut seen.present);
            seen.before = if is_old { HashSet::new() } else { last };
            seen.since = boot;
        }
        let mut again = boot.since(self.began) <= FRESH;
        for id in ids {
            again |= now.since(id.at()) > FRESH || seen.before.contains(&id);
            again |= !seen.present.insert(id);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: BootMillis = BootMillis(50_000);

    /// Ids made now, asked about so long after the start.
    fn asks(recent: &Recent, ids: &[NotificationId], after_ms: u64) -> bool {
        let made = ids[0].at();
        recent.may_be_again(ids.iter().copied(), made, BEGAN.plus(Duration::from_millis(after_ms)))
    }

    #[test]
    fn p3_an_id_that_comes_again_is_told_from_a_new_one() {
        let recent = Recent::new(BEGAN);
        let [one, two, three] = [(); 3].map(|()| NotificationId::now());
        assert!(!asks(&recent, &[one, two], 1_500));
        assert!(asks(&recent, &[three, two], 1_501), "one of a request is enough");
        assert!(asks(&recent, &[three], 2_600), "it was in that request");
        assert!(asks(&recent, &[one], 2_601));
        assert!(!asks(&recent, &[NotificationId::now()], 2_602));
        assert!(asks(&recent, &[one, one], 9_000), "twice in one request");
    }

    #[test]
    fn p3_the_process_before_may_have_accepted_it() {
        let recent = Recent::new(BEGAN);
        assert!(asks(&recent, &[NotificationId::now()], 1_000));
        assert!(!asks(&recent, &[NotificationId::now()], 1_001));
    }

    #[test]
    fn p3_an_old_id_may_have_been_anywhere() {
        let (recent, id) = (Recent::new(BEGAN), NotificationId::now());
        let later = id.at().plus(Duration::from_millis(1_002));
        assert!(recent.may_be_again([id].into_iter(), later, BEGAN.plus(Duration::from_secs(60))));
    }

    #[test]
    fn p8_what_is_kept_is_that_of_two_seconds() {
        let recent = Recent::new(BEGAN);
        for second in 0..10 {
            asks(&recent, &[NotificationId::now(), NotificationId::now()], 1_001 * second);
        }
        let seen = recent.seen.lock().unwrap();
        assert!(seen.present.len() + seen.before.len() <= 4, "{seen:?}");
    }
}
