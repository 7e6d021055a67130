//! The part that submits to RabbitMQ with the producer library, in one stream.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use skein_apns_sim::checker::Confirmed;
use skein_apns_sim::clock::monotonic_ns;
use skein_core::seam::{Confirmation, SubmitError};
use skein_core::{Notification, NotificationId, PoolName};
use skein_producer::{LinkOptions, Producer, ProducerOptions, Taken, Wait};
use tokio::task::JoinHandle;

use crate::arguments::Submitting;
use crate::part::{Pace, Submitted};
use crate::submissions::{self, Submission};
use crate::traffic::{POOL, Place, Traffic};

/// Batches under way at once.
const BATCHES_MAX: usize = 16;
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// The pause after a refusal by a broker that blocks or is away.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Submits, writes the list of what was confirmed, and says how many were not.
pub(crate) fn run(arguments: &Submitting) -> Result<Submitted> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut done = runtime.block_on(submit(arguments))?;
    done.list.sort_unstable_by_key(|submission| submission.confirmed.sequence);
    submissions::write(&arguments.list, &done.list)?;
    Ok(done.summary())
}

/// What was confirmed so far.
struct Done {
    traffic: Traffic,
    list: Vec<Submission>,
    refused: u64,
    began_ns: u64,
}

impl Done {
    fn take(&mut self, place: Place, submitted_ns: u64, outcome: Result<Confirmation, SubmitError>) {
        let Ok(Confirmation { id }) = outcome else {
            self.refused += 1;
            return;
        };
        let id = u128::from_be_bytes(*id.as_bytes());
        let token = self.traffic.fingerprint(place.token);
        let confirmed = Confirmed { id, token, sequence: place.sequence };
        self.list.push(Submission { confirmed, submitted_ns });
    }

    fn summary(&self) -> Submitted {
        Submitted {
            confirmed: self.list.len() as u64,
            refused: self.refused,
            began_ns: self.began_ns,
            ended_ns: monotonic_ns(),
        }
    }
}

async fn submit(arguments: &Submitting) -> Result<Done> {
    let pool = PoolName::parse(POOL)?;
    let broker = arguments.target.parse()?;
    let link = LinkOptions::new(vec![broker], "skein-bench producer");
    let options = ProducerOptions { wait: Wait::Forever, ..ProducerOptions::new(link, vec![pool.clone()]) };
    let producer = Producer::connect(options);
    let ready = producer.ready(CONNECT_LIMIT).await;
    ready.map_err(|error| anyhow!("{error}: {}", producer.trouble().unwrap_or_default()))?;
    let done = Done {
        traffic: Traffic::new(arguments.seed),
        list: Vec::with_capacity(usize::try_from(arguments.notifications)?),
        refused: 0,
        began_ns: monotonic_ns(),
    };
    match arguments.batch {
        0 | 1 => singles(arguments, &producer, &pool, done).await,
        size => batches(arguments.notifications, size.into(), &producer, &pool, done).await,
    }
}

async fn singles(
    arguments: &Submitting,
    producer: &Producer,
    pool: &PoolName,
    mut done: Done,
) -> Result<Done> {
    let mut under_way: VecDeque<(Place, u64, Taken)> = VecDeque::new();
    let mut pace = Pace::new(arguments.paced);
    for n in 0..arguments.notifications {
        pace.wait(n).await;
        let place = done.traffic.single(n);
        let submitted_ns = monotonic_ns();
        let notification = done.traffic.notification(place, NotificationId::now().at())?;
        let taken = loop {
            match producer.try_submit(pool, notification.clone()) {
                Ok(taken) => break taken,
                Err(SubmitError::BackPressure(_) | SubmitError::Away { .. }) => match under_way.pop_front() {
                    Some((place, at, oldest)) => done.take(place, at, oldest.outcome().await),
                    None => tokio::time::sleep(REFUSED_PAUSE).await,
                },
                Err(other) => return Err(other.into()),
            }
        };
        under_way.push_back((place, submitted_ns, taken));
    }
    for (place, at, taken) in under_way {
        done.take(place, at, taken.outcome().await);
    }
    Ok(done)
}

type Batch = JoinHandle<Vec<Result<Confirmation, SubmitError>>>;

async fn batches(
    notifications: u64,
    size: u64,
    producer: &Producer,
    pool: &PoolName,
    mut done: Done,
) -> Result<Done> {
    let mut under_way: VecDeque<(Vec<Place>, u64, Batch)> = VecDeque::new();
    let traffic = done.traffic;
    let mut first = 0;
    while first < notifications || !under_way.is_empty() {
        if first < notifications && under_way.len() < BATCHES_MAX {
            let places: Vec<Place> =
                traffic.batch(first / size, first, size.min(notifications - first)).collect();
            let submitted_ns = monotonic_ns();
            let items: Vec<Notification> = traffic.shared(&places, NotificationId::now().at())?;
            let (producer, pool) = (producer.clone(), pool.clone());
            // The runtime has one thread and begins tasks in turn: so do the batches reach the producer.
            let task = tokio::spawn(async move { producer.submit_many(&pool, items, Wait::Forever).await });
            first += places.len() as u64;
            under_way.push_back((places, submitted_ns, task));
            continue;
        }
        let (places, submitted_ns, task) = under_way.pop_front().context("no batch is under way")?;
        for (place, outcome) in places.into_iter().zip(task.await?) {
            done.take(place, submitted_ns, outcome);
        }
    }
    Ok(done)
}
