//! What a ledger holds: a fold over the facts it was told. Pure; the locks and faults are elsewhere.

use std::collections::{BTreeSet, HashMap};

use crate::fact::{Fact, Final, Note, Registration};
use crate::id::{NotificationId, NotificationKey};
use crate::pool::PoolName;
use crate::seam::{DeviceState, Known, LookUp, Recorded, Refused, Tally, Trace, TraceEvent};
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::token::Fingerprint;
use crate::verdict::is_gone;

/// What is known of a device token.
#[derive(Default)]
struct Device {
    /// The latest time at which it was found gone.
    found_gone_at: Option<Timestamp>,
    registered_at: Option<Timestamp>,
    badge: u32,
    /// Where it is sent from, by pool.
    slots: HashMap<PoolName, Slot>,
}

impl Device {
    /// The 410 rule as a fold: the order in which registrations and refusals become known does not matter.
    fn gone_at(&self) -> Option<Timestamp> {
        self.found_gone_at.filter(|at| is_gone(Some(*at), *at, self.registered_at))
    }

    fn state(&self) -> DeviceState {
        DeviceState { gone_at: self.gone_at(), registered_at: self.registered_at, badge: self.badge }
    }
}

/// Everything recorded.
#[derive(Default)]
pub(super) struct LedgerState {
    /// What stands, in the order of recording.
    facts: Vec<Fact>,
    finals: HashMap<NotificationKey, usize>,
    /// The places of every fact about an id.
    places: HashMap<NotificationId, Vec<usize>>,
    devices: HashMap<Fingerprint, Device>,
}

/// What became of one fact.
enum Told {
    Stored,
    StoredAndGone,
    Late,
}

impl LedgerState {
    pub(super) fn facts(&self) -> &[Fact] {
        &self.facts
    }

    pub(super) fn record(&mut self, facts: &[Fact]) -> Recorded {
        let mut recorded = Recorded::default();
        for (index, fact) in facts.iter().enumerate() {
            if let Some(why) = cannot_be_stored(fact) {
                recorded.refused.push(Refused { index, why: why.to_owned() });
                continue;
            }
            match self.tell(fact) {
                Told::Stored => {}
                Told::StoredAndGone => recorded.gone.push(index),
                Told::Late => recorded.late.push(index),
            }
        }
        recorded
    }

    fn tell(&mut self, fact: &Fact) -> Told {
        match fact {
            Fact::Final(new) => self.tell_final(new),
            Fact::Note(_) | Fact::Submitted(_) => self.keep_once(fact.clone()),
        }
    }

    fn keep_once(&mut self, fact: Fact) -> Told {
        let ids = ids(&fact);
        let known = match ids.first() {
            Some(id) => self.about(*id).any(|known| *known == fact),
            None => true,
        };
        if known {
            return Told::Late;
        }
        self.keep(fact, &ids);
        Told::Stored
    }

    fn keep(&mut self, fact: Fact, ids: &[NotificationId]) {
        for id in ids {
            self.places.entry(*id).or_default().push(self.facts.len());
        }
        self.facts.push(fact);
    }

    fn about(&self, id: NotificationId) -> impl Iterator<Item = &Fact> {
        self.places.get(&id).into_iter().flatten().map(|place| &self.facts[*place])
    }

    fn tell_final(&mut self, new: &Final) -> Told {
        if let Some(first) = self.standing_final(new.key) {
            if first != new {
                self.keep_once(Fact::Note(Box::new(new.late_note())));
            }
            return Told::Late;
        }
        self.finals.insert(new.key, self.facts.len());
        self.keep(Fact::Final(Box::new(new.clone())), &[new.key.id]);
        let device = self.devices.entry(new.token).or_default();
        device.slots.insert(new.pool.clone(), new.slot);
        if let Some(badge) = new.badge {
            device.badge = badge.applied_to(device.badge);
        }
        let was_gone_at = device.gone_at();
        device.found_gone_at = device.found_gone_at.max(new.gone_since());
        if device.gone_at() == was_gone_at { Told::Stored } else { Told::StoredAndGone }
    }

    fn standing_final(&self, key: NotificationKey) -> Option<&Final> {
        match self.finals.get(&key).and_then(|place| self.facts.get(*place)) {
            Some(Fact::Final(standing)) => Some(standing),
            _ => None,
        }
    }

    pub(super) fn register(&mut self, registrations: &[Registration]) {
        for new in registrations {
            let device = self.devices.entry(new.fingerprint).or_default();
            device.slots.insert(new.pool.clone(), Slot::of(&new.token));
            device.registered_at = device.registered_at.max(Some(new.at));
        }
    }

    pub(super) fn look_up(&self, asked: &LookUp) -> Known {
        Known {
            verdict: self.standing_final(asked.key).map(|f| f.verdict),
            device: self.devices.get(&asked.token).map(Device::state).unwrap_or_default(),
        }
    }

    pub(super) fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Vec<u64> {
        let of_slots = |d: &Device| d.slots.get(pool).is_some_and(|slot| slots.contains(slot));
        let gone = self.devices.iter().filter(|(_, d)| d.gone_at().is_some() && of_slots(d));
        gone.map(|(token, _)| token.short()).collect()
    }

    fn finals_since<'a>(
        &'a self,
        pool: &'a PoolName,
        since: Timestamp,
    ) -> impl Iterator<Item = &'a Final> + 'a {
        self.facts.iter().filter_map(move |fact| match fact {
            Fact::Final(f) if f.pool == *pool && f.at >= since => Some(&**f),
            _ => None,
        })
    }

    pub(super) fn repeats(&self, pool: &PoolName, since: Timestamp) -> Vec<NotificationKey> {
        self.finals_since(pool, since).filter(|f| f.repeat).map(|f| f.key).collect()
    }

    /// The generations that a row of the pool, since then, records as possible copies.
    pub(super) fn possible_copies(&self, pool: &PoolName, since: Timestamp) -> BTreeSet<NotificationKey> {
        let flagged = self.facts.iter().filter_map(|fact| match fact {
            Fact::Final(f) if f.possible_copy => Some((&f.pool, f.at, f.key)),
            Fact::Note(n) if n.possible_copy => Some((&n.pool, n.at, n.key)),
            _ => None,
        });
        flagged.filter(|(of, at, _)| *of == pool && *at >= since).map(|(_, _, key)| key).collect()
    }

    pub(super) fn tally(&self, pool: &PoolName, since: Timestamp) -> Tally {
        let mut tally = Tally::default();
        self.finals_since(pool, since).for_each(|f| tally.add(f.verdict, 1));
        tally.possible_copies = self.possible_copies(pool, since).len() as u64;
        tally
    }

    pub(super) fn trace(&self, id: NotificationId) -> Trace {
        let mut events: Vec<TraceEvent> = self
            .about(id)
            .map(|fact| match fact {
                Fact::Final(f) => final_event(f),
                Fact::Note(n) => note_event(n),
                Fact::Submitted(batch) => bare_event(batch.at, "submitted", &batch.pool),
            })
            .collect();
        events.sort_by_key(|event| event.at);
        Trace { events }
    }
}

/// Whom a fact is about, each id once.
fn ids(fact: &Fact) -> Vec<NotificationId> {
    match fact {
        Fact::Final(f) => vec![f.key.id],
        Fact::Note(n) => vec![n.key.id],
        Fact::Submitted(batch) => batch.ids.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// A NUL is in no text of a database; it stands for every row that one refuses for what it holds.
fn cannot_be_stored(fact: &Fact) -> Option<&'static str> {
    let texts: [Option<&str>; 4] = match fact {
        Fact::Final(f) => [Some(&f.cause), f.app.as_deref(), f.reference.as_deref(), Some(&f.sender)],
        Fact::Note(n) => [Some(&n.cause), Some(&n.sender), None, None],
        Fact::Submitted(_) => [None; 4],
    };
    texts.iter().flatten().any(|text| text.contains('\0')).then_some("a text holds a NUL")
}

fn bare_event(at: Timestamp, what: &'static str, pool: &PoolName) -> TraceEvent {
    TraceEvent {
        at,
        what,
        generation: 0,
        pool: pool.to_string(),
        cause: String::new(),
        status: 0,
        attempt: 0,
        duration_us: 0,
        possible_copy: false,
        token: None,
        user: None,
        app: None,
        reference: None,
        submitted_at: None,
        queue: None,
        sender: None,
        until: None,
    }
}

fn note_event(n: &Note) -> TraceEvent {
    TraceEvent {
        generation: n.key.generation,
        cause: n.cause.to_string(),
        status: n.status,
        attempt: n.attempt,
        possible_copy: n.possible_copy,
        sender: Some(n.sender.to_string()),
        until: n.until,
        ..bare_event(n.at, n.kind.label(), &n.pool)
    }
}

fn final_event(f: &Final) -> TraceEvent {
    TraceEvent {
        generation: f.key.generation,
        cause: f.cause.to_string(),
        status: f.status,
        attempt: f.attempts,
        duration_us: f.duration_us,
        possible_copy: f.possible_copy,
        token: Some(f.token.to_string()),
        user: f.user.map(|user| user.to_string()),
        app: f.app.as_deref().map(str::to_owned),
        reference: f.reference.as_deref().map(str::to_owned),
        submitted_at: f.submitted_at,
        queue: Some(f.queue),
        sender: Some(f.sender.to_string()),
        ..bare_event(f.at, f.verdict.label(), &f.pool)
    }
}
