//! How long a sender believes what the coordinator said of a queue and of whoever had it before: that nobody else writes any more, that
//! nothing was left in doubt. No longer than the session lives in which it was said: after that anybody may have been made the owner.

use std::time::Duration;

use skein_core::lease::BootMillis;
use skein_core::seam::Standing;
use tokio::sync::watch;

/// So long nobody else can have been made the owner, whatever has become of the session since: less than the shortest session timeout that
/// can be set (1 s), for what was said was on its way.
const FRESH: Duration = Duration::from_millis(750);

/// What was said of a queue, from its being attached to on.
pub struct Belief {
    /// When it was said; `None`: nothing is believed.
    said: Option<BootMillis>,
    /// It was fresh when the queue was attached to: this process was not frozen and the broker not away between.
    in_time: bool,
    standing: watch::Receiver<Standing>,
}

impl Belief {
    /// As the queue is attached to, `now`. `standing`: subscribed to just now.
    pub fn new(said: Option<BootMillis>, standing: watch::Receiver<Standing>, now: BootMillis) -> Self {
        Self { said, in_time: said.is_some_and(|said| now.since(said) <= FRESH), standing }
    }

    /// Whether it still counts: it is fresh, or the queue was attached to in time and the session lives on since. If not, the queue is
    /// claimed anew before anything is made of it.
    pub fn holds(&self, now: BootMillis) -> bool {
        let Some(said) = self.said else { return true };
        let lives = matches!(*self.standing.borrow(), Standing::Joined | Standing::Alone);
        now.since(said) <= FRESH || self.in_time && lives && !self.standing.has_changed().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use skein_core::Timestamp;

    use super::*;

    fn away() -> Standing {
        Standing::Away { since: Timestamp::default(), why: String::new() }
    }

    const SAID: BootMillis = BootMillis(10_000);

    fn after(millis: u64) -> BootMillis {
        SAID.plus(Duration::from_millis(millis))
    }

    #[test]
    fn p2_p3_what_was_said_is_believed_while_the_session_lives() {
        let standing = watch::Sender::new(Standing::Joined);
        let belief = Belief::new(Some(SAID), standing.subscribe(), after(100));
        assert!(belief.holds(after(100)) && belief.holds(after(3_600_000)), "an idle queue needs no claim");
        standing.send_replace(away());
        assert!(!belief.holds(after(800)), "its session may be over, and the queue another's");
        assert!(belief.holds(after(700)), "P7: not yet");
        standing.send_replace(Standing::Joined);
        assert!(!belief.holds(after(800)), "another session's word has to be asked for");
        let again = Belief::new(Some(after(900)), standing.subscribe(), after(910));
        assert!(again.holds(after(9_000)));
    }

    #[test]
    fn p2_p3_what_took_long_to_attach_to_is_claimed_anew() {
        let standing = watch::Sender::new(Standing::Joined);
        let late = Belief::new(Some(SAID), standing.subscribe(), after(120_000));
        assert!(!late.holds(after(120_000)), "it was frozen perhaps, and has not heard yet");
        let nothing = Belief::new(None, standing.subscribe(), after(120_000));
        assert!(nothing.holds(after(120_000)), "nothing is believed: nothing is to be asked");
        let alone = watch::Sender::new(Standing::Alone);
        assert!(Belief::new(Some(SAID), alone.subscribe(), after(1)).holds(after(3_600_000)));
        let away = watch::Sender::new(away());
        assert!(!Belief::new(Some(SAID), away.subscribe(), after(1)).holds(after(800)));
    }
}
