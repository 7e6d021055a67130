//! One round of the writer: everything that waits, in one transaction. If that fails, each order in one of its own, so that
//! nobody pays for another's fault.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use skein_core::fact::Fact;
use skein_core::seam::{LedgerError, Recorded, Refused};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::bulk::Bulk;
use super::fact_rows::{Care, FactRows};
use super::fault::Fault;
use super::queue::Stored;
use super::upkeep::{bury, delete, forget};
use super::writer::{Desk, NewMessage, OtherOrder, RecordOrder, Settled, SubmitOrder, Waiting};

/// The most settlements of one transaction.
const SETTLED_MAX: usize = 8192;

/// What one transaction takes.
pub(super) struct Round {
    submits: Vec<SubmitOrder>,
    records: Vec<RecordOrder>,
    others: Vec<OtherOrder>,
    settled: Vec<Settled>,
}

impl Round {
    /// Takes what waits: of submits and of records at least one order, and no more than `rows_max` rows each unless a single
    /// order is larger.
    pub(super) fn take(waiting: &mut Waiting, rows_max: usize) -> Self {
        fn bounded<T>(
            waiting: &mut std::collections::VecDeque<T>,
            rows_max: usize,
            rows: impl Fn(&T) -> usize,
        ) -> Vec<T> {
            let (mut count, mut sum) = (0, 0);
            for order in waiting.iter() {
                sum += rows(order);
                if count > 0 && sum > rows_max {
                    break;
                }
                count += 1;
            }
            waiting.drain(..count).collect()
        }
        let settled = waiting.settled.len().min(SETTLED_MAX);
        Self {
            submits: bounded(&mut waiting.submits, rows_max, |o| o.messages.len()),
            records: bounded(&mut waiting.records, rows_max, |o| o.facts.len()),
            others: std::mem::take(&mut waiting.others),
            settled: waiting.settled.drain(..settled).collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.submits.is_empty()
            && self.records.is_empty()
            && self.others.is_empty()
            && self.settled.is_empty()
    }
}

/// The writer's connection and its statements.
pub(super) struct Rounds {
    connection: SqliteConnection,
    desk: Arc<Desk>,
    messages: Bulk,
    facts: FactRows,
}

impl Rounds {
    pub(super) fn new(connection: SqliteConnection, desk: Arc<Desk>) -> Self {
        let messages = Bulk::new("INSERT INTO message (place, kind, body)", 3, "");
        Self { connection, desk, messages, facts: FactRows::new() }
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::warn!(%error, "closing the database file failed; nothing that was confirmed is lost");
        }
    }

    /// Does a round and answers everybody. Gives the settlements that the file did not take.
    pub(super) async fn commit(&mut self, round: Round) -> Vec<Settled> {
        let Round { submits, records, others, settled } = round;
        let batches: Vec<&[Fact]> = records.iter().map(|order| &*order.facts).collect();
        let messages: Vec<&NewMessage> = submits.iter().flat_map(|order| &order.messages).collect();
        let care = Care::AllAreNew;
        match self.whole(&settled, &batches, &messages, care).await {
            Ok((recorded, stored)) => {
                self.release(&settled);
                for (order, recorded) in records.into_iter().zip(recorded) {
                    drop(order.done.send(Ok(recorded)));
                }
                for (message, stored) in messages.iter().zip(stored) {
                    message.queue.publish(stored);
                }
                let mut changed: Vec<_> = messages.iter().map(|m| &m.queue).collect();
                changed.dedup_by(|a, b| Arc::ptr_eq(a, b));
                changed.iter().for_each(|queue| queue.changed.notify_one());
                for order in submits {
                    drop(order.done.send(Ok(())));
                }
                for other in others {
                    self.other(other).await;
                }
                Vec::new()
            }
            Err(_) => self.one_by_one(submits, records, others, settled).await,
        }
    }

    async fn one_by_one(
        &mut self,
        submits: Vec<SubmitOrder>,
        records: Vec<RecordOrder>,
        others: Vec<OtherOrder>,
        settled: Vec<Settled>,
    ) -> Vec<Settled> {
        let unsettled = match self.whole(&settled, &[], &[], Care::AllAreNew).await {
            Ok(_) => {
                self.release(&settled);
                Vec::new()
            }
            Err(fault) => {
                tracing::warn!(?fault, "the file takes no settlements; they are tried again");
                settled
            }
        };
        for order in records {
            let recorded = self.record(&order.facts).await;
            drop(order.done.send(recorded));
        }
        for order in submits {
            let messages: Vec<&NewMessage> = order.messages.iter().collect();
            let done = self.whole(&[], &[], &messages, Care::AllAreNew).await;
            let done = done.map(|(_, stored)| {
                for (message, stored) in messages.iter().zip(stored) {
                    message.queue.publish(stored);
                    message.queue.changed.notify_one();
                }
            });
            drop(order.done.send(done));
        }
        for other in others {
            self.other(other).await;
        }
        unsettled
    }

    fn release(&self, settled: &[Settled]) {
        let bytes = settled.iter().map(|s| s.bytes).sum();
        self.desk.queue_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Everything given, in one transaction.
    async fn whole(
        &mut self,
        settled: &[Settled],
        batches: &[&[Fact]],
        messages: &[&NewMessage],
        care: Care,
    ) -> Result<(Vec<Recorded>, Vec<Stored>), Fault> {
        if settled.is_empty() && batches.is_empty() && messages.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        self.begin().await?;
        let done = self.inside(settled, batches, messages, care).await;
        self.end(done).await
    }

    async fn inside(
        &mut self,
        settled: &[Settled],
        batches: &[&[Fact]],
        messages: &[&NewMessage],
        care: Care,
    ) -> Result<(Vec<Recorded>, Vec<Stored>), Fault> {
        if !settled.is_empty() {
            delete(&mut self.connection, settled).await?;
        }
        let recorded = self.facts.append(&mut self.connection, batches, care).await?;
        let stored: Vec<Stored> = messages
            .iter()
            .map(|m| Stored { place: m.queue.assign(), kind: m.kind, body: m.body.clone() })
            .collect();
        let bind = |q: super::bulk::Statement, m: &Stored| q.bind(m.place).bind(m.kind).bind(m.body.to_vec());
        self.messages.write(&mut self.connection, &stored, bind).await?;
        Ok((recorded, stored))
    }

    async fn begin(&mut self) -> Result<(), Fault> {
        sqlx::query("BEGIN IMMEDIATE").execute(&mut self.connection).await?;
        Ok(())
    }

    /// Commits what was done, or takes it back.
    async fn end<T>(&mut self, done: Result<T, Fault>) -> Result<T, Fault> {
        let committed = match &done {
            Ok(_) => sqlx::query("COMMIT").execute(&mut self.connection).await.map(drop).map_err(Fault::from),
            Err(fault) => Err(fault.clone()),
        };
        if let Err(fault) = committed {
            // Some faults have rolled back already; then this is refused, which is as good.
            drop(sqlx::query("ROLLBACK").execute(&mut self.connection).await);
            return Err(fault);
        }
        done
    }

    /// Records one order: row by row if some are not new, without the guilty ones if some are refused.
    async fn record(&mut self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        match self.whole(&[], &[facts], &[], Care::RowByRow).await {
            Ok((mut recorded, _)) => Ok(recorded.pop().unwrap_or_default()),
            Err(Fault::Data(_)) => {
                let refused = self.guilty(facts).await?;
                let is_good = |index: &usize| refused.iter().all(|r| r.index != *index);
                let good: Vec<usize> = (0..facts.len()).filter(is_good).collect();
                let rest: Vec<Fact> = good.iter().map(|index| facts[*index].clone()).collect();
                let (mut recorded, _) = self.whole(&[], &[&rest], &[], Care::RowByRow).await?;
                let mut recorded = recorded.pop().unwrap_or_default();
                let Recorded { late, gone, refused: nul } = &mut recorded;
                let indices = late.iter_mut().chain(gone).chain(nul.iter_mut().map(|r| &mut r.index));
                indices.for_each(|index| *index = good[*index]);
                recorded.refused.extend(refused);
                Ok(recorded)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Finds the facts that the file refuses, by halving; nothing of it is kept.
    async fn guilty(&mut self, facts: &[Fact]) -> Result<Vec<Refused>, Fault> {
        let (mut refused, mut parts) = (Vec::new(), Vec::from([(0, facts.len())]));
        while let Some((start, end)) = parts.pop() {
            self.begin().await?;
            let tried = self.inside(&[], &[&facts[start..end]], &[], Care::RowByRow).await;
            drop(self.end(tried.as_ref().map_err(Fault::clone).and(Err::<(), _>(Fault::NotAllNew))).await);
            match tried {
                Ok(_) => {}
                Err(Fault::Data(why)) if end - start == 1 => refused.push(Refused { index: start, why }),
                Err(Fault::Data(_)) => {
                    let middle = start.midpoint(end);
                    parts.push((middle, end));
                    parts.push((start, middle));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(refused)
    }

    async fn other(&mut self, order: OtherOrder) {
        match order {
            OtherOrder::Barrier(done) => drop(done.send(())),
            OtherOrder::Register(rows, done) => {
                let registered = self.begin().await;
                let registered = match registered {
                    Ok(()) => self.facts.register(&mut self.connection, &rows).await,
                    Err(fault) => Err(fault),
                };
                drop(done.send(self.end(registered).await));
            }
            OtherOrder::Bury(letter, done) => {
                drop(done.send(bury(&mut self.connection, letter).await));
            }
            OtherOrder::Forget(keep_from, done) => {
                drop(done.send(forget(&mut self.connection, keep_from).await));
            }
        }
    }
}
