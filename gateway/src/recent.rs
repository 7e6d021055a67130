//! Which ids of a caller's own come for the first time. Their verdict does not say so yet: what was accepted a moment ago has none.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skein_core::lease::BootMillis;
use skein_core::{NotificationId, Timestamp};

/// An id that was made longer ago than this may have been submitted before; a younger one only if it was seen since.
const FRESH: Duration = Duration::from_secs(1);
/// So far apart may the clock here be from that of who makes the ids, and from itself before it was set.
const CLOCKS_APART: Duration = Duration::from_millis(100);

/// How long one is kept at least: until it is old, by whichever clock.
const KEPT: Duration = FRESH.saturating_add(CLOCKS_APART).saturating_add(CLOCKS_APART);

/// The ids that came within the last second or two: as many as the callers' rates allow, 16 bytes each.
#[derive(Debug)]
pub(crate) struct Recent(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// What was made until then may have been accepted and is not remembered: by the process before this one, or before the clock was set
    /// back.
    unknown_until: Timestamp,
    /// A wall clock's reading and the boot clock's at once, from which the wall clock has not been set back.
    clocks: (Timestamp, BootMillis),
    /// When the present ones began to be collected; those before are kept as long again.
    since: BootMillis,
    present: HashSet<NotificationId>,
    before: HashSet<NotificationId>,
}

impl Recent {
    /// For a process that begins now.
    pub(crate) fn new(now: Timestamp, boot: BootMillis) -> Self {
        Self(Mutex::new(Seen {
            unknown_until: now.plus(CLOCKS_APART),
            clocks: (now, boot),
            since: boot,
            present: HashSet::new(),
            before: HashSet::new(),
        }))
    }

    /// Whether one of these may have been submitted before, here or to the process before this one. From now on each has been. Of what a
    /// clock that is ahead has made nobody knows how old it is.
    pub(crate) fn may_be_again(
        &self,
        ids: impl Iterator<Item = NotificationId>,
        now: Timestamp,
        boot: BootMillis,
    ) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who has waited for the lock brings an earlier reading.
        let is_latest = boot >= seen.clocks.1;
        let expected = seen.clocks.0.plus(boot.since(seen.clocks.1));
        if is_latest && expected.since(now) > CLOCKS_APART {
            tracing::warn!(
                back = ?expected.since(now),
                "the wall clock seems to have been set back: ids of the callers' own go marked until it has come to where it was"
            );
            seen.unknown_until = seen.unknown_until.max(expected.plus(CLOCKS_APART));
            seen.clocks = (now, boot);
        } else if is_latest && now > expected {
            seen.clocks = (now, boot);
        }
        if boot.since(seen.since) > KEPT {
            let is_old = boot.since(seen.since) > KEPT * 2;
            let last = std::mem::take(&mut seen.present);
            seen.before = if is_old { HashSet::new() } else { last };
            seen.since = boot;
        }
        let mut again = false;
        for id in ids {
            let made = id.at();
            again |= made <= seen.unknown_until || now.since(made) > FRESH || made.since(now) > CLOCKS_APART;
            again |= seen.before.contains(&id) | !seen.present.insert(id);
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: BootMillis = BootMillis(50_000);

    fn began() -> Timestamp {
        NotificationId::now().at()
    }

    fn after(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// An id that is made so long after the start; another with each call.
    fn made(began: Timestamp, millis: u64) -> NotificationId {
        let mut random = [0; 10];
        random.copy_from_slice(&NotificationId::now().as_uuid().as_bytes()[6..]);
        NotificationId::new(began.plus(after(millis)), random)
    }

    #[test]
    fn p3_an_id_that_comes_again_is_told_from_a_new_one() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        let asks = |ids: &[NotificationId], millis| {
            recent.may_be_again(ids.iter().copied(), began.plus(after(millis)), BOOT.plus(after(millis)))
        };
        let [one, two, three] = [1_500, 1_500, 1_600].map(|millis| made(began, millis));
        assert!(!asks(&[one, two], 1_500));
        assert!(asks(&[three, two], 1_600), "one of a request is enough");
        assert!(asks(&[three], 2_590), "it was in that request");
        assert!(asks(&[one], 2_400));
        assert!(!asks(&[made(began, 2_600)], 2_600));
        assert!(asks(&[made(began, 5_000); 2], 5_000), "twice in one request");
    }

    #[test]
    fn p3_the_process_before_may_have_accepted_what_was_made_before() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        for (millis, again) in [(0, true), (100, true), (101, false), (400, false)] {
            let now = (began.plus(after(400)), BOOT.plus(after(400)));
            let id = made(began, millis);
            assert_eq!(recent.may_be_again([id].into_iter(), now.0, now.1), again, "{millis} ms");
        }
    }

    #[test]
    fn p3_an_old_id_may_have_been_anywhere() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        let id = made(began, 30_000);
        assert!(recent.may_be_again([id].into_iter(), began.plus(after(31_001)), BOOT.plus(after(31_001))));
    }

    #[test]
    fn p3_an_id_from_a_clock_that_is_ahead_may_be_of_any_age() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        let (slightly, much) = (made(began, 10_100), made(began, 10_101));
        let asks = |id: NotificationId, millis| {
            recent.may_be_again([id].into_iter(), began.plus(after(millis)), BOOT.plus(after(millis)))
        };
        assert!(!asks(slightly, 10_000));
        assert!(asks(much, 10_000));
        assert!(!asks(made(began, 11_090), 11_090), "others come meanwhile");
        assert!(asks(slightly, 11_100), "it is not old yet, and still known");
        assert!(asks(slightly, 11_101));
    }

    #[test]
    fn p3_what_was_accepted_before_the_clock_was_set_back_is_told_from_a_new_one() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        let asks = |id, wall, boot| {
            recent.may_be_again([id].into_iter(), began.plus(after(wall)), BOOT.plus(after(boot)))
        };
        let id = made(began, 20_000);
        assert!(!asks(id, 20_000, 20_000));
        // Five seconds back, while nobody asks.
        assert!(
            asks(made(began, 19_900), 19_900, 24_900),
            "made before it was set back, or since: nobody can tell"
        );
        assert!(asks(id, 20_000, 25_000), "it is as young as it was, and forgotten");
        assert!(asks(made(began, 25_000), 25_000, 30_000));
        assert!(!asks(made(began, 25_101), 25_101, 30_101), "no clock has shown that");
        // By less than clocks may be apart.
        let id = made(began, 30_000);
        assert!(!asks(id, 30_000, 35_000));
        assert!(!asks(made(began, 30_100), 30_100, 35_190));
        assert!(asks(id, 31_000, 36_090), "it is not old yet");
    }

    #[test]
    fn p8_what_is_kept_is_that_of_two_seconds() {
        let began = began();
        let recent = Recent::new(began, BOOT);
        for millis in (0..10_000).step_by(1_201) {
            let ids = [made(began, millis), made(began, millis)];
            recent.may_be_again(ids.into_iter(), began.plus(after(millis)), BOOT.plus(after(millis)));
        }
        let seen = recent.0.lock().unwrap();
        assert!(seen.present.len() + seen.before.len() <= 4, "{seen:?}");
    }
}
