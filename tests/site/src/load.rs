//! Paced traffic from a producer in this process, and the list of what it was told is accepted.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use skein_apns_sim::{SEQUENCE_KEY, checker::Confirmed, fingerprint_of_hex};
use skein_core::{Badge, DeviceToken, Notification, NotificationId, PoolName, Slot, notification::Draft};
use skein_producer::{Producer, Wait};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::site::{POOL, TOPIC};

/// Device tokens in all.
const TOKENS: usize = 1_200;
const FINISH_LIMIT: Duration = Duration::from_secs(180);

/// What a group message says.
pub const PAYLOAD_TEXT: &str = "the whole class meets at noon";

/// A group message carries a number from here on in place of a device's sequence.
pub const GROUP_SEQUENCE_MIN: u64 = 1 << 32;

/// Random numbers from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of `from..to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.next() % (to - from)
    }

    /// A device token of 32 bytes, as hexadecimal text.
    pub fn token(&mut self) -> String {
        (0..4).map(|_| format!("{:016x}", self.next())).collect()
    }
}

/// In what portions it comes.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Each has its own tokens and waits for one round's outcomes before the next: an order that the producer itself knows.
    pub workers: usize,
    /// Single notifications of a round.
    pub singles: usize,
    /// The devices of its one group message; 0 for none.
    pub members: usize,
}

impl Shape {
    /// A round of eight workers is a burst.
    pub const BURSTS: Self = Self { workers: 8, singles: 12, members: 8 };
    /// As even as pacing can be: what passes between two requests of a queue is then little else than what a fault costs.
    pub const EVEN: Self = Self { workers: 50, singles: 3, members: 2 };
}

/// What was accepted: for the checker, and what it does to a badge.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// For the checker.
    pub confirmed: Confirmed,
    /// What it adds to its device's badge.
    pub badge: u64,
}

struct Device {
    token: String,
    fingerprint: u64,
    sequence: u64,
}

impl Device {
    fn sent(&mut self, id: NotificationId, badge: u64) -> Sent {
        let sequence = self.sequence;
        self.sequence += 1;
        let id = id.as_uuid().as_u128();
        Sent { confirmed: Confirmed { id, token: self.fingerprint, sequence }, badge }
    }
}

/// Running traffic.
pub struct Load {
    stop: watch::Sender<bool>,
    workers: JoinSet<Vec<Sent>>,
    confirmed: Arc<AtomicU64>,
    producer: Producer,
    slots: HashMap<u64, Slot>,
}

impl Load {
    /// Begins to submit, about `per_second` notifications a second: singles, and group messages that go out as batches.
    pub fn start(producer: Producer, seed: u64, per_second: u32) -> Self {
        Self::shaped(producer, seed, per_second, Shape::BURSTS)
    }

    /// The same, in these portions.
    pub fn shaped(producer: Producer, seed: u64, per_second: u32, shape: Shape) -> Self {
        let (stop, stopped) = watch::channel(false);
        let confirmed = Arc::new(AtomicU64::new(0));
        let pause =
            Duration::from_secs(1) * (shape.workers * (shape.singles + shape.members)) as u32 / per_second;
        let mut random = Random(seed);
        let mut workers = JoinSet::new();
        let mut slots = HashMap::new();
        for number in 0..shape.workers {
            let tokens = (0..TOKENS / shape.workers).map(|_| random.token());
            let device = |token: String| {
                let fingerprint = fingerprint_of_hex(&token).unwrap();
                slots.insert(fingerprint, Slot::of(&DeviceToken::parse(&token).unwrap()));
                Device { fingerprint, token, sequence: 0 }
            };
            let worker = Worker {
                producer: producer.clone(),
                shape,
                first_after: pause * number as u32 / shape.workers as u32,
                devices: tokens.map(device).collect(),
                random: Random(seed ^ (number as u64 + 1)),
                confirmed: Arc::clone(&confirmed),
            };
            workers.spawn(worker.run(pause, stopped.clone()));
        }
        Self { stop, workers, confirmed, producer, slots }
    }

    /// The slot of every device, by its token's fingerprint in the simulator's log.
    pub fn slots(&self) -> &HashMap<u64, Slot> {
        &self.slots
    }

    /// How many were confirmed so far.
    pub fn confirmed(&self) -> u64 {
        self.confirmed.load(Ordering::Relaxed)
    }

    /// What keeps the producer from publishing, if anything does.
    pub fn trouble(&self) -> Option<String> {
        self.producer.trouble()
    }

    /// Ends it and waits for every outcome: each must be a confirmation.
    pub async fn finish(mut self) -> Vec<Sent> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        let collecting = async {
            while let Some(sent) = self.workers.join_next().await {
                all.extend(sent.unwrap());
            }
        };
        if tokio::time::timeout(FINISH_LIMIT, collecting).await.is_err() {
            panic!("outcomes are missing after {FINISH_LIMIT:?}; trouble: {:?}", self.producer.trouble());
        }
        all
    }
}

struct Worker {
    producer: Producer,
    shape: Shape,
    first_after: Duration,
    devices: Vec<Device>,
    random: Random,
    confirmed: Arc<AtomicU64>,
}

impl Worker {
    async fn run(mut self, pause: Duration, stopped: watch::Receiver<bool>) -> Vec<Sent> {
        let pool = PoolName::parse(POOL).unwrap();
        let mut all = Vec::new();
        let mut tick = tokio::time::interval_at(Instant::now() + self.first_after, pause);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !*stopped.borrow() {
            tick.tick().await;
            let (notifications, sent) = self.round();
            let outcomes = self.producer.submit_many(&pool, notifications, Wait::Forever).await;
            for (outcome, sent) in outcomes.into_iter().zip(sent) {
                if let Err(error) = outcome {
                    panic!("P1: a producer that waits gets a confirmation, not: {error}");
                }
                self.confirmed.fetch_add(1, Ordering::Relaxed);
                all.push(sent);
            }
        }
        all
    }

    /// Singles for tokens drawn with repetition, then one message for a group.
    fn round(&mut self) -> (Vec<Notification>, Vec<Sent>) {
        let now = NotificationId::now().at();
        let (mut notifications, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..self.shape.singles {
            let place = self.random.below(self.devices.len());
            let device = &mut self.devices[place];
            let sequence = device.sequence;
            let mut draft = Draft::new(&device.token, TOPIC)
                .payload_json(payload("a message", sequence))
                .user(&format!("u-{place}"))
                // Its own content, so that no two go out as one batch.
                .reference(&format!("r-{place}-{sequence}"));
            if self.random.below(8) == 0 {
                draft = draft.collapse_id(&format!("chat-{}", sequence % 3));
            }
            let badge = u64::from(self.random.below(10) == 0);
            if badge > 0 {
                draft = draft.badge(Badge::Add(1));
            }
            let notification = draft.build(now).unwrap_or_else(|faults| panic!("{faults:?}"));
            sent.push(device.sent(notification.id, badge));
            notifications.push(notification);
        }
        if self.shape.members == 0 {
            return (notifications, sent);
        }
        let first = self.random.below(self.devices.len() - self.shape.members);
        let members = &mut self.devices[first..first + self.shape.members];
        let group = Draft::new("", TOPIC)
            .payload_json(payload(PAYLOAD_TEXT, GROUP_SEQUENCE_MIN + (self.random.next() >> 32)));
        let devices = members.iter().map(|device| (device.token.clone(), None));
        let built = group.build_for(devices, now).unwrap_or_else(|faults| panic!("{faults:?}"));
        for (device, notification) in members.iter_mut().zip(built) {
            sent.push(device.sent(notification.id, 0));
            notifications.push(notification);
        }
        (notifications, sent)
    }
}

/// A payload that carries the producer's sequence.
pub fn payload(text: &str, sequence: u64) -> String {
    format!(
        r#"{{"aps":{{"alert":{{"title":"Anna","body":"{text}"}},"sound":"default"}},"{SEQUENCE_KEY}":{sequence}}}"#
    )
}
