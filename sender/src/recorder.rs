//! The recorder: natural group commit. The next transaction forms while one commits; no timer.

use std::sync::Arc;
use std::time::Duration;

use skein_core::fact::Fact;
use skein_core::seam::{Ledger, LedgerError, Recorded};
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::status::Status;

/// How long the recorder waits before it tries a ledger again that is away.
const AWAY_PAUSE: Duration = Duration::from_millis(200);

/// Facts of one shard's pool, on their way into the ledger.
pub struct Batch {
    /// The shard's own number, given back.
    pub number: u64,
    /// The facts.
    pub facts: Vec<Fact>,
    /// Whom to tell.
    pub reply: mpsc::UnboundedSender<Done>,
}

/// The facts of a batch are durable.
#[derive(Debug, Default)]
pub struct Done {
    /// The batch.
    pub number: u64,
    /// What the ledger said of its facts, by their index in the batch.
    pub recorded: Recorded,
}

/// Records batches until every sender of them is gone. Unbounded in the channel's type only: no shard has more facts under way
/// than it has permits.
///
/// Cancelled, what is under way is recorded or not; its deliveries are not settled and come back.
pub async fn run<L: Ledger>(
    ledger: L,
    mut batches: mpsc::UnboundedReceiver<Batch>,
    rows_max: usize,
    status: Arc<Status>,
    metrics: Arc<Metrics>,
) {
    while let Some(first) = batches.recv().await {
        let mut taken = vec![first];
        let mut rows = taken[0].facts.len();
        while rows < rows_max
            && let Ok(more) = batches.try_recv()
        {
            rows += more.facts.len();
            taken.push(more);
        }
        let mut facts = Vec::with_capacity(rows);
        let mut ends = Vec::with_capacity(taken.len());
        for batch in &mut taken {
            facts.append(&mut batch.facts);
            ends.push(facts.len());
        }
        let recorded = record(&ledger, &facts, &status, &metrics).await;
        metrics.recorded(facts.len());
        let mut start = 0;
        for (batch, end) in taken.into_iter().zip(ends) {
            let done = Done { number: batch.number, recorded: part(&recorded, start, end) };
            // A shard that has ended waits for nothing.
            let _ = batch.reply.send(done);
            start = end;
        }
    }
}

/// Records until it is durable.
async fn record<L: Ledger>(ledger: &L, facts: &[Fact], status: &Status, metrics: &Metrics) -> Recorded {
    loop {
        let began = tokio::time::Instant::now();
        match ledger.record(facts).await {
            Ok(recorded) => {
                metrics.record_took(began.elapsed());
                status.ledger(None);
                return recorded;
            }
            Err(LedgerError::Away(why) | LedgerError::Refused(why)) => {
                status.ledger(Some(why));
                tokio::time::sleep(AWAY_PAUSE).await;
            }
        }
    }
}

fn part(whole: &Recorded, start: usize, end: usize) -> Recorded {
    let cut = |list: &[usize]| list.iter().filter(|i| (start..end).contains(*i)).map(|i| i - start).collect();
    Recorded {
        late: cut(&whole.late),
        gone: cut(&whole.gone),
        refused: whole
            .refused
            .iter()
            .filter(|r| (start..end).contains(&r.index))
            .map(|r| skein_core::seam::Refused { index: r.index - start, why: r.why.clone() })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_batch_gets_its_own_part() {
        let whole = Recorded { late: vec![0, 3, 7], gone: vec![3], refused: vec![] };
        assert_eq!(part(&whole, 0, 3).late, [0]);
        assert_eq!(part(&whole, 3, 8), Recorded { late: vec![0, 4], gone: vec![0], refused: vec![] });
    }
}
