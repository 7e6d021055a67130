//! Whose connections to the broker are open, by the broker's own events and its listing: pure bookkeeping.

use std::collections::{BTreeMap, VecDeque};

use skein_core::QueueName;
use skein_core::fleet::{Owner, PRESENCE};
use skein_core::lease::BootMillis;
use skein_core::plan::Connection;
use std::time::Duration;

/// The most closed connections that are remembered against a listing that lags behind the events.
const CLOSED_MAX: usize = 4096;
/// How long a life is remembered whose connections are all closed.
const KEPT: Duration = Duration::from_secs(900);
/// How often connections are to be listed besides: those of a broker's node that dies close without an event.
pub const LIST_EVERY: Duration = Duration::from_secs(15);
/// How long a connection that no listing names counts as open: longer than a young one is not listed, and than to the next listing.
pub const UNLISTED_MAX: Duration = Duration::from_secs(20);

/// The connections of senders, by life.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    lives: BTreeMap<Owner, Life>,
    closed: VecDeque<String>,
}

#[derive(Debug, Clone, Default)]
struct Life {
    /// By the broker's name.
    open: BTreeMap<String, Open>,
    /// Its presence connection has closed since one was last opened. One that was open before events came is not known until it is listed:
    /// until it closes, nothing that closes besides is the life's end.
    presence_closed: bool,
    /// When the last one closed.
    closed_at: Option<BootMillis>,
}

#[derive(Debug, Clone)]
struct Open {
    /// What it is for.
    purpose: String,
    /// When it was opened, or listed last.
    seen: BootMillis,
}

impl Connections {
    /// A connection was opened: the broker's name of it, and its client's. Those of others than senders are passed over.
    pub fn opened(&mut self, broker_name: &str, client_name: &str, at: BootMillis) {
        self.closed.retain(|closed| closed != broker_name);
        self.add(broker_name, client_name, at);
    }

    /// A connection was closed.
    pub fn closed(&mut self, broker_name: &str, client_name: &str, at: BootMillis) {
        let Some((owner, purpose)) = Owner::of_connection(client_name) else { return };
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(broker_name.to_owned());
        let life = self.lives.entry(owner).or_default();
        life.open.remove(broker_name);
        life.presence_closed |=
            purpose == PRESENCE && !life.open.values().any(|open| open.purpose == PRESENCE);
        life.closed_at = Some(at);
    }

    /// The broker's own listing: what it names and no event has called closed is open. It lags, so what it does not name may be;
    /// what it has not named for long is forgotten, which proves nobody's end: it may be incomplete while nodes come and go.
    pub fn listed<'a>(&mut self, listed: impl IntoIterator<Item = (&'a str, &'a str)>, at: BootMillis) {
        for (broker_name, client_name) in listed {
            if !self.closed.iter().any(|closed| closed == broker_name) {
                self.add(broker_name, client_name, at);
            }
        }
        for life in self.lives.values_mut() {
            let before = life.open.len();
            life.open.retain(|_, open| at.since(open.seen) < UNLISTED_MAX);
            if life.open.is_empty() && before > 0 {
                life.presence_closed = false;
            }
        }
    }

    /// Events may have been missed: nothing is known any more.
    pub fn forget_all(&mut self) {
        *self = Self::default();
    }

    /// Forgets lives that have had no connection for long.
    pub fn forget_old(&mut self, now: BootMillis) {
        self.lives
            .retain(|_, life| !life.open.is_empty() || life.closed_at.is_some_and(|at| now.since(at) < KEPT));
    }

    /// How a life's connections stand: closed once its presence connection has, and every other that is known.
    pub fn of(&self, life: &Owner) -> Connection {
        match self.lives.get(life) {
            Some(Life { open, presence_closed: true, closed_at: Some(at) }) if open.is_empty() => {
                Connection::Closed { at: *at }
            }
            _ => Connection::Open,
        }
    }

    /// How many connections of a life are open.
    pub fn open(&self, life: &Owner) -> usize {
        self.lives.get(life).map_or(0, |life| life.open.len())
    }

    /// The broker's names of a life's open connections to a queue.
    pub fn to_queue(&self, life: &Owner, queue: &QueueName) -> Vec<String> {
        let purpose = queue.to_string();
        let open = self.lives.get(life).map(|life| life.open.iter()).into_iter().flatten();
        open.filter(|(_, of)| of.purpose == purpose).map(|(name, _)| name.clone()).collect()
    }

    /// Every life that has a connection to a queue open, with that queue.
    pub fn attached(&self) -> impl Iterator<Item = (&Owner, QueueName)> {
        self.lives.iter().flat_map(|(life, known)| {
            let queues = known.open.values().filter_map(|open| QueueName::parse(&open.purpose));
            queues.map(move |queue| (life, queue))
        })
    }

    fn add(&mut self, broker_name: &str, client_name: &str, at: BootMillis) {
        if let Some((owner, purpose)) = Owner::of_connection(client_name) {
            let open = Open { purpose: purpose.to_owned(), seen: at };
            let life = self.lives.entry(owner).or_default();
            life.presence_closed &= purpose != PRESENCE;
            life.open.insert(broker_name.to_owned(), open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::fleet::{Incarnation, MemberId};

    #[test]
    fn closed_when_the_last_is() {
        let life = |text: &str| Owner {
            member: MemberId::parse("s1").unwrap(),
            incarnation: Incarnation(text.parse().unwrap()),
        };
        let first = life("00000000-0000-0000-0000-000000000001");
        let name = |purpose: &str| format!("{}/{purpose}", first.connection_name());
        let mut all = Connections::default();
        assert_eq!(all.of(&first), Connection::Open, "never seen");
        all.opened("a", &name("presence"), BootMillis(1));
        all.opened("b", &name("im.q3"), BootMillis(1));
        all.opened("c", "im-backend", BootMillis(1));
        all.closed("a", &name("presence"), BootMillis(5));
        assert_eq!((all.of(&first), all.open(&first)), (Connection::Open, 1));
        let queue = QueueName::parse("im.q3").unwrap();
        assert_eq!(all.to_queue(&first, &queue), ["b"]);
        all.closed("b", &name("im.q3"), BootMillis(7));
        assert_eq!(all.of(&first), Connection::Closed { at: BootMillis(7) });
        all.listed([("b", name("im.q3").as_str())], BootMillis(8));
        assert_eq!(all.of(&first), Connection::Closed { at: BootMillis(7) }, "the listing lags");
        let second = life("00000000-0000-0000-0000-000000000002");
        assert_eq!(all.of(&second), Connection::Open, "what an earlier life had says nothing of this one");
        all.listed([("d", name("im.q3").as_str())], BootMillis(8));
        assert_eq!(all.of(&first), Connection::Open);
        all.closed("d", &name("im.q3"), BootMillis(9));
        assert_eq!(all.of(&first), Connection::Closed { at: BootMillis(9) });
        all.forget_old(BootMillis(9).plus(KEPT));
        assert_eq!(all.of(&first), Connection::Open);
        assert!(all.lives.is_empty());
    }

    #[test]
    fn what_a_dead_node_held_is_forgotten_and_proves_no_end() {
        let life = Owner {
            member: MemberId::parse("s1").unwrap(),
            incarnation: Incarnation("00000000-0000-0000-0000-000000000001".parse().unwrap()),
        };
        let queue = QueueName::parse("im.q3").unwrap();
        let (presence, consumer) =
            (format!("{}/presence", life.connection_name()), format!("{}/im.q3", life.connection_name()));
        let mut all = Connections::default();
        let began = BootMillis(1_000);
        let list = |all: &mut Connections, names: &[&str], at| {
            all.listed(names.iter().map(|name| (*name, consumer.as_str())), at);
        };
        all.opened("node 1 presence", &presence, began);
        all.opened("node 1 q3", &consumer, began);
        all.opened("node 1 q4", &format!("{}/im.q4", life.connection_name()), began);
        all.closed("node 1 q4", &format!("{}/im.q4", life.connection_name()), began);
        list(&mut all, &[], began.plus(LIST_EVERY));
        assert_eq!(all.to_queue(&life, &queue), ["node 1 q3"], "it may be too young to be listed");
        list(&mut all, &[], began.plus(LIST_EVERY * 2));
        assert_eq!(all.open(&life), 0);
        assert_eq!(all.of(&life), Connection::Open, "nobody is taken for dead by a listing");
        let again = began.plus(LIST_EVERY * 3);
        all.opened("node 2 presence", &presence, again);
        all.opened("node 2 q3", &consumer, again);
        list(&mut all, &["node 2 q3"], again.plus(LIST_EVERY));
        list(&mut all, &[], again.plus(LIST_EVERY * 2));
        assert_eq!(all.to_queue(&life, &queue), ["node 2 q3"]);
        all.closed("node 2 q3", &consumer, again);
        assert_eq!(
            all.of(&life),
            Connection::Open,
            "a lost queue is no end: its presence is listed no more, and not closed"
        );
        all.closed("node 2 presence", &presence, again);
        assert_eq!(all.of(&life), Connection::Closed { at: again }, "its end is noticed again");
    }

    #[test]
    fn p2_who_loses_its_last_queue_before_its_presence_is_known_lives() {
        let life = Owner {
            member: MemberId::parse("s1").unwrap(),
            incarnation: Incarnation("00000000-0000-0000-0000-000000000001".parse().unwrap()),
        };
        let (presence, consumer) =
            (format!("{}/presence", life.connection_name()), format!("{}/im.q3", life.connection_name()));
        let mut all = Connections::default();
        all.opened("q3", &consumer, BootMillis(1));
        all.closed("q3", &consumer, BootMillis(2));
        assert_eq!(all.of(&life), Connection::Open, "its presence was open before events came");
        all.closed("presence", &presence, BootMillis(3));
        assert_eq!(
            all.of(&life),
            Connection::Closed { at: BootMillis(3) },
            "it has not been listed, and closed"
        );
        all.opened("presence again", &presence, BootMillis(4));
        all.opened("q3 again", &consumer, BootMillis(4));
        all.closed("q3 again", &consumer, BootMillis(5));
        assert_eq!(all.of(&life), Connection::Open);
        // The end of a half-open one is noticed after the next was opened, which no listing has named yet when it is forgotten.
        all.opened("a third", &presence, BootMillis(6));
        all.closed("presence again", &presence, BootMillis(7));
        all.opened("q3 a third time", &consumer, BootMillis(7));
        let later = BootMillis(8).plus(UNLISTED_MAX);
        all.listed([("q3 a third time", consumer.as_str())], later);
        all.closed("q3 a third time", &consumer, later);
        assert_eq!(all.of(&life), Connection::Open);
    }
}
