//! One whole sender: a queue and a ledger in memory, the real transport and, around it, a record of what it told.

use skein_apns::ClientConfig;
use skein_apns_sim::checker::{Confirmed, FinalVerdict, History, Ids, Report, Verdicts, check};
use skein_apns_sim::log::{Row, Snapshot};
use skein_apns_sim::{SEQUENCE_KEY, fingerprint_of_hex};
use skein_backends::clock::SystemClock;
use skein_core::answer::{Answer, Evidence};
use skein_core::fact::Fact;
use skein_core::memory::{MemoryBroker, MemoryLedger, StaticCoordinator};
use skein_core::notification::Draft;
use skein_core::retry_schedule::RetrySchedule;
use skein_core::seam::{Answered, Clock, Submit, Transport, Trouble, Windows, Write};
use skein_core::{FingerprintKey, NotificationId, PoolName};
use skein_sender::apns_transport::ApnsTransport;
use skein_sender::credential::slot::Slot;
use skein_sender::metrics::Metrics;
use skein_sender::status::View;
use skein_sender::{Options, PoolOptions, Seams, Sender};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const QUEUES: u16 = 4;
const PREFETCH: u16 = 4_000;
/// Longer than any scenario needs: only a hang ends here.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// What was told of each id.
type Record = Arc<Mutex<BTreeMap<u128, Told>>>;

/// What was told of an id.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// How often what APNs replied.
    pub replied: usize,
    /// How often that it is in doubt.
    pub in_doubt: usize,
    /// Each time that it was not sent: why, and where.
    pub not_sent: Vec<(&'static str, Evidence)>,
}

/// One pool of a rig.
pub struct Pool {
    pub name: &'static str,
    pub config: ClientConfig,
    pub credential: Arc<Slot>,
}

pub struct Rig {
    sender: Sender,
    broker: MemoryBroker,
    ledger: MemoryLedger,
    record: Record,
    sequences: BTreeMap<u64, u64>,
}

impl Rig {
    /// Starts it; retries follow `retry`, within `budget`.
    pub fn start(pools: Vec<Pool>, retry: RetrySchedule, budget: (f64, u32)) -> Self {
        let names: Vec<PoolName> = pools.iter().map(|pool| name(pool.name)).collect();
        let broker = MemoryBroker::new(names.iter().map(|name| (name, QUEUES)));
        let ledger = MemoryLedger::new();
        let seams = Seams {
            broker: broker.clone(),
            ledger: ledger.clone(),
            coordinator: StaticCoordinator::owns_all(names.iter().map(|name| (name, QUEUES)), PREFETCH),
            clock: SystemClock,
            dead_lives: Vec::new(),
        };
        let metrics = Arc::new(Metrics::new(prometheus::Registry::new()).unwrap());
        let record = Record::default();
        let plan: HashMap<PoolName, (ClientConfig, Arc<Slot>)> = pools
            .iter()
            .map(|pool| (name(pool.name), (pool.config.clone(), pool.credential.clone())))
            .collect();
        let (plan, all) = (Arc::new(plan), record.clone());
        let connect = move |pool: &PoolName| {
            let (config, slot) = plan[pool].clone();
            let inner = ApnsTransport::new(config, slot);
            Recording { inner, ids: HashMap::new(), record: all.clone() }
        };
        let sender = Sender::start(options(&names, retry, budget), seams, metrics, connect).unwrap();
        Self { sender, broker, ledger, record, sequences: BTreeMap::new() }
    }

    /// Submits one notification for each device, in this order; a device is a small number.
    pub async fn submit(&mut self, pool: &str, devices: impl Iterator<Item = u64>) -> Vec<Confirmed> {
        let now = SystemClock.now();
        let (mut notifications, mut confirmed) = (Vec::new(), Vec::new());
        for device in devices {
            let token = token(device);
            let sequence = self.sequences.entry(device).or_default();
            let payload = format!(r#"{{"aps":{{"alert":"hello"}},"{SEQUENCE_KEY}":{sequence}}}"#);
            let notification =
                Draft::new(&token, super::crowd::TOPIC).payload_json(payload).build(now).unwrap();
            let id = number(notification.id);
            confirmed.push(Confirmed { id, token: fingerprint_of_hex(&token).unwrap(), sequence: *sequence });
            *sequence += 1;
            notifications.push(notification);
        }
        for outcome in self.broker.submit(&name(pool), notifications).await {
            outcome.unwrap();
        }
        confirmed
    }

    /// Notifications of a pool without a final verdict that is settled.
    pub fn pending(&self, pool: &str) -> usize {
        let depth = self.broker.pool_depth(&name(pool));
        depth.ready + depth.unsettled
    }

    pub fn view(&self) -> View {
        self.sender.status().view()
    }

    /// Waits until every notification of a pool has its verdict.
    pub async fn settled(&self, pool: &str) {
        let settled = async || (self.pending(pool) == 0).then_some(());
        if let Err(timed_out) = skein_tests::until("every verdict", PATIENCE, settled).await {
            panic!("P1: {timed_out}; {} pending; {:?}", self.pending(pool), self.view());
        }
    }

    /// What the ledger says of a pool.
    pub fn books(&self, pool: &str) -> Books {
        let mut verdicts = Verdicts::new();
        for fact in self.ledger.facts() {
            if let Fact::Final(fact) = fact
                && fact.pool == name(pool)
            {
                let verdict = FinalVerdict::from_label(fact.verdict.label()).unwrap();
                let first = verdicts.insert(number(fact.key.id), verdict);
                assert!(first.is_none(), "P1: two final verdicts of one id");
            }
        }
        let copies = self.ledger.possible_copies(&name(pool));
        Books { verdicts, possible_copies: copies.into_iter().map(|key| number(key.id)).collect() }
    }

    /// What was told of each id.
    pub fn told(&self) -> BTreeMap<u128, Told> {
        self.record.lock().unwrap().clone()
    }

    /// Each shard may have so much open at APNs from now on, in every pool.
    pub fn resize(&self, windows: Windows) {
        let change = |options: &mut Options| {
            options.pools.iter_mut().for_each(|pool| pool.windows = Some(windows));
        };
        self.sender.tuning().change(change);
    }

    /// Leaves in good order.
    pub async fn end(self) {
        assert!(self.sender.drain(Duration::from_secs(30)).await, "the sender does not end");
    }
}

/// The ledger's side.
pub struct Books {
    pub verdicts: Verdicts,
    pub possible_copies: Ids,
}

impl Books {
    pub fn count(&self, verdict: FinalVerdict) -> usize {
        self.verdicts.values().filter(|other| **other == verdict).count()
    }

    /// Holds producer, simulator and ledger against each other.
    pub fn check(&self, confirmed: &[Confirmed], log: &Snapshot) -> Report {
        check(&History {
            confirmed,
            log,
            verdicts: Some(&self.verdicts),
            possible_copies: &self.possible_copies,
            writers: None,
        })
    }
}

/// How often ids were told to be in doubt, all together.
pub fn in_doubt(told: &BTreeMap<u128, Told>) -> usize {
    told.values().map(|told| told.in_doubt).sum()
}

/// Ids that the simulator read and did not answer more often than they were told to be in doubt: the rows, and what was told.
pub fn missing(told: &BTreeMap<u128, Told>, log: &Snapshot) -> Vec<(Vec<Row>, Told)> {
    let mut known: BTreeMap<u128, Vec<Row>> = BTreeMap::new();
    for row in log.rows.iter().filter(|row| row.written_ns().is_none() && !row.refused()) {
        known.entry(row.id()).or_default().push(*row);
    }
    let told = known.into_iter().map(|(id, rows)| (rows, told.get(&id).cloned().unwrap_or_default()));
    told.filter(|(rows, told)| rows.len() > told.in_doubt).collect()
}

fn options(pools: &[PoolName], retry: RetrySchedule, retry_budget: (f64, u32)) -> Options {
    Options {
        member: "sender-1".into(),
        shards: 2,
        held_max: 40_000,
        held_bytes_max: 256 << 20,
        retry,
        grace: Duration::from_secs(1),
        away_hold: Duration::from_secs(10),
        id_memory: Duration::from_secs(600),
        id_memory_max: 1000,
        state_folder: None,
        quarantine_after: 3,
        retry_budget,
        backoff: (Duration::from_millis(10), Duration::from_millis(100)),
        record_rows_max: 1_000,
        pools: pools
            .iter()
            .map(|name| PoolOptions {
                name: name.clone(),
                topics: Vec::new(),
                collapse: false,
                windows: None,
            })
            .collect(),
        fingerprint_key: FingerprintKey::derive(b"bad days"),
        spans: None,
    }
}

fn name(pool: &str) -> PoolName {
    PoolName::parse(pool).unwrap()
}

fn number(id: NotificationId) -> u128 {
    id.as_uuid().as_u128()
}

/// The device token of a device, as hexadecimal text.
pub fn token(device: u64) -> String {
    format!("{:064x}", u128::from(device) << 64 | 0x5ce1)
}

/// The real transport, and what it told.
struct Recording {
    inner: ApnsTransport,
    ids: HashMap<u64, NotificationId>,
    record: Record,
}

impl Transport for Recording {
    fn room(&self) -> usize {
        self.inner.room()
    }

    fn resize(&mut self, windows: Windows) {
        self.inner.resize(windows);
    }

    fn write(&mut self, write: Write) {
        self.ids.insert(write.key, write.id);
        self.inner.write(write);
    }

    async fn progress(&mut self, answers: &mut Vec<Answered>) {
        let known = answers.len();
        self.inner.progress(answers).await;
        for answered in &answers[known..] {
            let id = self.ids.remove(&answered.key).expect("an answer to a write");
            let told =
                |tell: &dyn Fn(&mut Told)| tell(self.record.lock().unwrap().entry(number(id)).or_default());
            match &answered.answer {
                Answer::Reply(_) => told(&|told| told.replied += 1),
                Answer::InDoubt(_) => told(&|told| told.in_doubt += 1),
                Answer::NotSent(why) => told(&|told| told.not_sent.push((why.label(), answered.evidence))),
            }
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.inner.trouble()
    }
}
