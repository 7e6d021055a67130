//! The witness: sees every acceptance, write, answer and verdict as it happens, and holds them against the promises.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_core::fact::Fact;
use skein_core::seam::{Recorded, Write};
use skein_core::{
    DeviceToken, FinalVerdict, Fingerprint, FingerprintKey, NotificationId, PoolName, QueueName,
};
use tokio::time::Instant;

/// A life of a sender, by its number.
pub type LifeId = u32;

/// A broken promise, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which promise: `P1` to `P5`, or `bounded`.
    pub promise: &'static str,
    /// What happened.
    pub what: String,
}

/// Sees all. Clones share it.
#[derive(Clone)]
pub struct Witness(Arc<Mutex<Seen>>);

/// Everything seen.
pub struct Seen {
    start: Instant,
    key: FingerprintKey,
    /// By device: what was accepted for it, in order.
    lanes: HashMap<(PoolName, DeviceToken), Vec<NotificationId>>,
    places: HashMap<NotificationId, (PoolName, DeviceToken, usize)>,
    /// The place of the last first write of a device.
    furthest: HashMap<(PoolName, DeviceToken), usize>,
    written: HashSet<NotificationId>,
    /// How often APNs accepted each.
    received: BTreeMap<NotificationId, u32>,
    finals: HashMap<NotificationId, (Instant, FinalVerdict)>,
    gone: HashMap<Fingerprint, Instant>,
    /// When and as the how-manyth a life was attached to a queue.
    attached: HashMap<(LifeId, QueueName), (u64, Instant)>,
    attachments: u64,
    /// When a life first took a notification.
    taken: HashMap<(LifeId, NotificationId), Instant>,
    /// The latest attachment of those that wrote, by queue.
    writer: HashMap<QueueName, u64>,
    in_flight: HashMap<(LifeId, DeviceToken), NotificationId>,
    /// Writes that escaped a gate while their process was frozen, with what they would have broken.
    escaped: Vec<(NotificationId, Broken)>,
    broken: Vec<Broken>,
    writes: usize,
    /// Look-ups could not always be answered.
    pub ledger_failed: bool,
    /// Told as it happens, for a replay.
    pub told: bool,
    digest: u64,
}

impl Witness {
    /// Nothing seen yet.
    pub fn new(key: FingerprintKey, told: bool) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            start: Instant::now(),
            key,
            lanes: HashMap::new(),
            places: HashMap::new(),
            furthest: HashMap::new(),
            written: HashSet::new(),
            received: BTreeMap::new(),
            finals: HashMap::new(),
            gone: HashMap::new(),
            attached: HashMap::new(),
            attachments: 0,
            taken: HashMap::new(),
            writer: HashMap::new(),
            in_flight: HashMap::new(),
            escaped: Vec::new(),
            broken: Vec::new(),
            writes: 0,
            ledger_failed: false,
            told,
            digest: 0,
        })))
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened that a replay tells.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        self.seen().tell(what);
    }

    /// The producer was told that it is accepted, after all it was told so before.
    pub fn accepted(&self, pool: &PoolName, token: &DeviceToken, id: NotificationId) {
        let mut seen = self.seen();
        let lane = seen.lanes.entry((pool.clone(), token.clone())).or_default();
        lane.push(id);
        let place = lane.len() - 1;
        seen.places.insert(id, (pool.clone(), token.clone(), place));
    }

    /// A life is served by the broker.
    pub fn attached(&self, life: LifeId, queue: &QueueName) {
        let mut seen = self.seen();
        seen.attachments += 1;
        let number = seen.attachments;
        seen.attached.insert((life, queue.clone()), (number, Instant::now()));
        seen.tell(|| format!("life {life} is served {queue}"));
    }

    /// A life is given a notification, of whichever message.
    pub fn took(&self, life: LifeId, id: NotificationId) {
        self.seen().taken.entry((life, id)).or_insert_with(Instant::now);
    }

    /// Facts are durable.
    pub fn durable(&self, facts: &[Fact], recorded: &Recorded) {
        let now = Instant::now();
        let mut seen = self.seen();
        for (index, fact) in facts.iter().enumerate() {
            let Fact::Final(fact) = fact else { continue };
            if recorded.late.contains(&index) || recorded.refused.iter().any(|refused| refused.index == index)
            {
                continue;
            }
            seen.finals.insert(fact.key.id, (now, fact.verdict));
            if recorded.gone.contains(&index) {
                seen.gone.insert(fact.token, now);
            }
            let (id, verdict) = (fact.key.id, fact.verdict);
            seen.tell(|| format!("durable {} {} by {}", short(id), verdict.label(), fact.sender));
        }
    }

    /// A life writes to APNs. `received`: APNs will accept it. `escaped`: it was frozen since it looked at its gate.
    pub fn writes(
        &self,
        life: LifeId,
        pool: &PoolName,
        queue: &QueueName,
        write: &Write,
        received: bool,
        escaped: bool,
    ) {
        let mut seen = self.seen();
        seen.writes += 1;
        let id = write.id;
        seen.tell(|| {
            let escaped = if escaped { ", escaped" } else { "" };
            format!("life {life} writes {} of {queue}, received {received}{escaped}", short(id))
        });
        seen.digest =
            seen.digest.wrapping_mul(31).wrapping_add(u64::from(id.as_bytes()[15]) ^ u64::from(life) << 8);
        *seen.received.entry(id).or_default() += u32::from(received);
        let before = seen.broken.len();
        seen.hold(life, pool, queue, write);
        if escaped {
            let excused = seen.broken.split_off(before);
            seen.escaped.extend(excused.into_iter().map(|broken| (id, broken)));
        }
    }

    /// A life was given the answer of a write, or gave the write up.
    pub fn answered(&self, life: LifeId, token: &DeviceToken) {
        self.seen().in_flight.remove(&(life, token.clone()));
    }

    /// Whether a promise is broken already.
    pub fn is_broken(&self) -> bool {
        !self.seen().broken.is_empty()
    }

    /// A promise is broken.
    pub fn broke(&self, promise: &'static str, what: String) {
        self.seen().breaks(promise, what);
    }
}

/// The last digits of an id, for the eye.
pub fn short(id: NotificationId) -> String {
    let text = id.to_string();
    text[text.len() - 6..].to_owned()
}

impl Seen {
    fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{:>9.3} {}", self.start.elapsed().as_secs_f64(), what());
        }
    }

    fn breaks(&mut self, promise: &'static str, what: String) {
        self.tell(|| format!("{promise} BROKEN: {what}"));
        self.broken.push(Broken { promise, what });
    }

    /// Holds a write against the promises.
    fn hold(&mut self, life: LifeId, pool: &PoolName, queue: &QueueName, write: &Write) {
        let (id, now) = (write.id, Instant::now());
        let Some((of, token, place)) = self.places.get(&id).cloned() else {
            return self.breaks("P1", format!("{} is written and was never accepted", short(id)));
        };
        if of != *pool || token != write.token {
            self.breaks("P5", format!("{} of {of} is written through {pool}", short(id)));
        }
        let taken = self.taken.get(&(life, id)).copied().unwrap_or(now);
        let (number, since) = self.attached.get(&(life, queue.clone())).copied().unwrap_or((0, now));
        let writer = self.writer.entry(queue.clone()).or_default();
        if *writer > number {
            let what =
                format!("life {life} writes {} of {queue} though another has written since", short(id));
            self.breaks("P2", format!("two writers: {what}"));
        } else {
            *writer = number;
        }
        if let Some(other) = self.in_flight.insert((life, token.clone()), id) {
            self.breaks(
                "P2",
                format!("{} is written while {} of its device is in flight", short(id), short(other)),
            );
        }
        let lane = (of, token);
        if self.written.insert(id) {
            let before = place.checked_sub(1).map(|before| self.lanes[&lane][before]);
            if let Some(before) = before.filter(|before| !self.finals.contains_key(before)) {
                self.breaks(
                    "P2",
                    format!("{} is written before the verdict of {} is durable", short(id), short(before)),
                );
            }
            let furthest = self.furthest.entry(lane).or_default();
            if *furthest > place {
                self.breaks("P2", format!("{} is first written after a later one of its device", short(id)));
            } else {
                *furthest = place;
            }
        } else if let Some((at, verdict)) = self.finals.get(&id).copied()
            && at < taken
            && !self.ledger_failed
        {
            let what =
                format!("{} is written again, {} since before its owner took it", short(id), verdict.label());
            self.breaks("P3", what);
        }
        let device = self.key.token(&write.token);
        if self.gone.get(&device).is_some_and(|at| *at < since) && !self.ledger_failed {
            self.breaks(
                "P4",
                format!("{} is written to a token gone since before its owner attached", short(id)),
            );
        }
    }

    /// The first promise that is broken, all told: `possible` are those recorded as possible copies, `finals` what the ledger
    /// holds.
    pub fn verdict(
        &mut self,
        finals: &[(NotificationId, FinalVerdict)],
        possible: &HashSet<NotificationId>,
        orderly: bool,
    ) -> Option<Broken> {
        let mut count: HashMap<NotificationId, (u32, FinalVerdict)> = HashMap::new();
        for (id, verdict) in finals {
            count.entry(*id).or_insert((0, *verdict)).0 += 1;
        }
        let mut ids: Vec<NotificationId> = self.places.keys().copied().collect();
        ids.sort();
        for id in ids {
            let (times, verdict) = count.get(&id).copied().unwrap_or((0, FinalVerdict::Dead));
            let received = self.received.get(&id).copied().unwrap_or(0);
            if times != 1 {
                self.breaks("P1", format!("{} has {times} final verdicts", short(id)));
            } else if verdict == FinalVerdict::Accepted && received == 0 {
                self.breaks(
                    "P1",
                    format!("{} is accepted in the ledger and APNs never accepted it", short(id)),
                );
            }
            if received > 1 && !possible.contains(&id) {
                self.breaks("P3", format!("APNs received {} {received} times, unrecorded", short(id)));
            }
            if received > 1 && orderly {
                self.breaks("P3", format!("APNs received {} twice though all was orderly", short(id)));
            }
        }
        let escaped = std::mem::take(&mut self.escaped);
        let unrecorded = escaped.into_iter().filter(|(id, _)| !possible.contains(id));
        let unrecorded: Vec<Broken> = unrecorded.map(|(_, broken)| broken).collect();
        self.broken.extend(unrecorded);
        self.broken.first().cloned()
    }

    /// How many writes there were.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// How many were accepted by the broker.
    pub fn accepted(&self) -> usize {
        self.places.len()
    }

    /// How many APNs received more than once.
    pub fn copies(&self) -> usize {
        self.received.values().filter(|times| **times > 1).count()
    }

    /// A number that two equal runs have in common.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}
