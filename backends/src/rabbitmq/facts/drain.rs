//! Writing back: one process at a time takes the facts queue's messages, records them, and settles.

use std::sync::Arc;
use std::time::Duration;

use skein_core::seam::{BrokerError, Delivery, Inbox as _, Ledger, LedgerError};
use tokio::time::timeout;

use super::spool::{FACTS_V1, Facts, Spool};
use super::{info, warn};
use crate::rabbitmq::inbox::{RabbitInbox, dead_letter_properties};
use crate::rabbitmq::topology::FACTS_QUEUE;

/// How often the ledger is asked whether it is back, and the queue whether something waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the queue may be silent before its consumer leaves.
const SILENCE: Duration = Duration::from_millis(300);
/// The prefetch of the facts queue, equal for all who drain it.
const PREFETCH: u16 = 20;
/// How long the ledger may take to answer, or to record the messages taken at once.
const LEDGER_LIMIT: Duration = Duration::from_secs(10);

enum Stop {
    Broker(BrokerError),
    Ledger(LedgerError),
}

pub(super) async fn run<L: Ledger>(inner: L, spool: Arc<Spool>) {
    let mut last_trouble = String::new();
    loop {
        match round(&inner, &spool).await {
            Ok(()) => last_trouble.clear(),
            Err(stop) => {
                let trouble = match stop {
                    Stop::Broker(error) => error.to_string(),
                    Stop::Ledger(error) => error.to_string(),
                };
                if trouble != last_trouble {
                    warn!(why = trouble, "facts are not written back; trying again");
                    last_trouble = trouble;
                }
            }
        }
        // A bell that rings while the ledger is away is no reason to hurry.
        let away = spool.is_away();
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = spool.bell.notified(), if !away => {}
        }
    }
}

async fn round<L: Ledger>(inner: &L, spool: &Spool) -> Result<(), Stop> {
    let was_away = spool.is_away();
    if was_away {
        answered(inner.ping()).await?;
    }
    // Something may have been stored by any process, at any time.
    let waiting = spool.look().await.map_err(Stop::Broker)?;
    if waiting.ready > 0 && waiting.consumers == 0 {
        let inbox = spool.broker.attach_to(FACTS_QUEUE, "facts back", PREFETCH).await;
        write_back(inner, spool, inbox.map_err(Stop::Broker)?).await?;
    }
    if was_away {
        back(spool);
    }
    Ok(())
}

/// From now on new facts go into the ledger.
fn back(spool: &Spool) {
    if spool.came_back() {
        info!("the ledger is back: facts go into it");
    }
}

/// Until the queue is silent. Then the socket goes, and with it the sign that something may be in hand.
///
/// Once the ledger has taken something, new facts go there and no longer behind those that wait: under load the queue would
/// never be silent. Look-ups stay unanswered until it is empty.
async fn write_back<L: Ledger>(inner: &L, spool: &Spool, mut inbox: RabbitInbox) -> Result<(), Stop> {
    let mut total = 0;
    while let Ok(taken) = timeout(SILENCE, inbox.take(usize::from(PREFETCH))).await {
        let deliveries = taken.map_err(Stop::Broker)?;
        let facts = record(inner, &mut inbox, &deliveries).await?;
        let mut tags = deliveries.iter().map(|delivery| delivery.tag).collect();
        inbox.settle(&mut tags).await.map_err(Stop::Broker)?;
        spool.wrote_back(facts);
        total += facts;
        back(spool);
    }
    inbox.leave().await;
    info!(facts = total, "facts written back from the facts queue");
    Ok(())
}

/// Records messages in one transaction; what can never be recorded goes to the dead letters. How many facts they held.
async fn record<L: Ledger>(
    inner: &L,
    inbox: &mut RabbitInbox,
    deliveries: &[Delivery],
) -> Result<usize, Stop> {
    let mut facts = Vec::new();
    let mut ends = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match (*delivery.kind == *FACTS_V1).then(|| serde_json::from_slice::<Facts>(&delivery.body)) {
            Some(Ok(read)) => facts.extend(read.facts),
            _ => bury(inbox, delivery, "bad_facts", "no message of facts that this version can read").await?,
        }
        ends.push(facts.len());
    }
    if facts.is_empty() {
        return Ok(0);
    }
    let recorded = answered(inner.record(&facts)).await?;
    let mut last = None;
    for refused in &recorded.refused {
        let place = ends.partition_point(|end| *end <= refused.index);
        if last.replace(place) != Some(place) {
            bury(inbox, &deliveries[place], "fact_refused", &refused.why).await?;
        }
    }
    Ok(facts.len())
}

async fn bury(inbox: &mut RabbitInbox, delivery: &Delivery, reason: &str, detail: &str) -> Result<(), Stop> {
    let headers = [
        ("x-skein-reason", reason),
        ("x-skein-detail", detail),
        ("x-skein-queue", FACTS_QUEUE),
        ("x-skein-type", &*delivery.kind),
    ];
    let properties = dead_letter_properties(&delivery.kind, None, &headers);
    inbox.bury_as(properties, &delivery.body).await.map_err(Stop::Broker)
}

async fn answered<T>(asked: impl Future<Output = Result<T, LedgerError>>) -> Result<T, Stop> {
    match timeout(LEDGER_LIMIT, asked).await {
        Ok(answer) => answer.map_err(Stop::Ledger),
        Err(_) => Err(Stop::Ledger(LedgerError::Away(format!("no answer in {LEDGER_LIMIT:?}")))),
    }
}
