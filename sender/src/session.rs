//! A queue's session, as a loop: attach, take until cut, wait until nothing is begun, attach anew. The end of an attachment and
//! *all its deliveries are void* are one event.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use skein_core::seam::{Broker, BrokerError, Clock, Delivery, Inbox, Ledger, OwnedQueue};
use tokio::sync::watch;

use crate::attachment::Attachment;
use crate::main_path::PoolShard;
use crate::quarantine::Quarantine;
use crate::reading::{Away, Reader};
use crate::work::Item;

/// The most deliveries taken at once.
const TAKE_MOST: usize = 64;
/// How many items of a pool and shard may wait for permits before no more is taken. A batch that is read keeps its own items alone, which
/// is a fraction of its body where it has gone to many queues; so reading early costs less memory than waiting.
const BACKLOG_ITEMS: usize = 4096;

/// One owned queue.
pub struct Session<B: Broker, L: Ledger, C: Clock> {
    /// Its pool on this shard.
    pub pool: Rc<PoolShard<C>>,
    /// The broker.
    pub broker: B,
    /// The ledger.
    pub ledger: L,
    /// The queue.
    pub owned: OwnedQueue,
}

enum End {
    Left,
    Cut(BrokerError),
}

impl<B: Broker, L: Ledger, C: Clock> Session<B, L, C> {
    /// Runs until `stop` is true; then leaves by the one way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let queue = &self.owned.queue;
        let mut predecessor_gone = self.owned.predecessor_gone;
        let mut backoff = Backoff::new(self.pool.options.backoff);
        let status = &self.pool.status;
        status.queue(queue, Some("attaching".into()));
        loop {
            let attached = tokio::select! {
                attached = self.broker.attach(queue, self.owned.prefetch) => attached,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let cut = match attached {
                Err(error) => error,
                Ok(mut inbox) => {
                    let attachment = Rc::new(Attachment::new(queue.clone(), inbox.lease()));
                    let mut backlog = VecDeque::new();
                    let end = self
                        .serve(&mut inbox, &attachment, &mut backlog, &mut predecessor_gone, &mut stop)
                        .await;
                    self.forget(backlog);
                    match end {
                        Ok(End::Left) => {
                            inbox.leave().await;
                            break;
                        }
                        Ok(End::Cut(error)) | Err(error) => {
                            attachment.void();
                            drop(inbox);
                            self.pool.metrics.cut();
                            self.pool.drop_unbegun(&attachment);
                            status.queue(queue, Some(error.to_string()));
                            while !attachment.is_quiet() {
                                attachment.changed().await;
                            }
                            backoff.reset();
                            error
                        }
                    }
                }
            };
            status.queue(queue, Some(cut.to_string()));
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        status.released(queue);
    }

    async fn serve(
        &self,
        inbox: &mut B::Inbox,
        attachment: &Rc<Attachment>,
        backlog: &mut VecDeque<Item>,
        predecessor_gone: &mut bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<End, BrokerError> {
        let pool = &self.pool;
        let mut away: Away = None;
        let mut loaded = false;
        let options = &pool.options;
        let name = self.owned.queue.to_string();
        let mut quarantine = Quarantine::open(options.state_folder.as_ref(), &name, options.quarantine_after)
            .map_err(|error| BrokerError::Refused(format!("sender.state_folder cannot be used: {error}")))?;
        let mut tags = Vec::new();
        pool.status.queue(&self.owned.queue, None);
        loop {
            while let Some(item) = backlog.pop_front() {
                if !pool.permits.take(item.cost) {
                    backlog.push_front(item);
                    break;
                }
                pool.backlog.set(pool.backlog.get() - 1);
                pool.take(item);
            }
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {
                    self.forget(std::mem::take(backlog));
                    return self.finish(inbox, attachment).await;
                }
                () = attachment.changed() => self.settle(inbox, attachment, &mut tags).await?,
                () = pool.permits.available(), if !backlog.is_empty() => {}
                taken = next(inbox, backlog.is_empty() || pool.backlog.get() < BACKLOG_ITEMS) => {
                    let deliveries = match taken {
                        Ok(deliveries) => deliveries,
                        Err(error) => return Ok(End::Cut(error)),
                    };
                    if !*predecessor_gone {
                        tokio::time::sleep(pool.options.grace).await;
                        *predecessor_gone = true;
                    }
                    if !loaded {
                        loaded = self.load(&mut away).await;
                    }
                    let mut reader = Reader {
                        pool: &**pool,
                        ledger: &self.ledger,
                        attachment: Rc::clone(attachment),
                        slots: &self.owned.slots,
                        quarantine: &mut quarantine,
                        away: &mut away,
                    };
                    let mut fresh = VecDeque::new();
                    let read = reader.read(deliveries, inbox, &mut fresh).await;
                    pool.backlog.set(pool.backlog.get() + fresh.len());
                    backlog.append(&mut fresh);
                    read?;
                }
            }
        }
    }

    /// The one way to leave: nothing new begins, what has begun becomes durable and is settled.
    async fn finish(&self, inbox: &mut B::Inbox, attachment: &Rc<Attachment>) -> Result<End, BrokerError> {
        self.pool.drop_unbegun(attachment);
        let mut tags = Vec::new();
        while !(attachment.is_quiet() && attachment.is_settled()) {
            self.settle(inbox, attachment, &mut tags).await?;
            if !(attachment.is_quiet() && attachment.is_settled()) {
                attachment.changed().await;
            }
            self.pool.drop_unbegun(attachment);
        }
        Ok(End::Left)
    }

    async fn settle(
        &self,
        inbox: &mut B::Inbox,
        attachment: &Rc<Attachment>,
        tags: &mut Vec<u64>,
    ) -> Result<(), BrokerError> {
        for (letter, deliveries) in attachment.take_letters() {
            self.pool.metrics.dead_letter(letter.reason);
            inbox.bury(letter).await?;
            deliveries.iter().for_each(|delivery| delivery.attachment.done(delivery.tag));
        }
        attachment.take_settled(tags);
        if tags.is_empty() { Ok(()) } else { inbox.settle(tags).await }
    }

    /// Loads what must be known before the first write: tokens known gone, ids made final through marked copies. `false` if
    /// the ledger stayed away for the whole hold; it is tried again with the next deliveries.
    async fn load(&self, away: &mut Away) -> bool {
        let name = &self.owned.queue.pool;
        let slots: Vec<_> = self.owned.slots.slots(self.owned.queue.number).collect();
        loop {
            let since = self.pool.clock.now().minus(self.pool.options.id_memory);
            let loaded = match self.ledger.gone(name, &slots).await {
                Ok(gone) => self.ledger.repeats(name, since).await.map(|repeats| (gone, repeats)),
                Err(error) => Err(error),
            };
            match loaded {
                Ok((gone, repeats)) => {
                    let boot = self.pool.clock.boot();
                    let mut work = self.pool.work.borrow_mut();
                    work.counts.forget_unused();
                    let stamp = work.gone_stamp;
                    work.gone.extend(gone.into_iter().map(|short| (short, stamp)));
                    repeats
                        .into_iter()
                        .for_each(|key| work.window.remember(key, boot, self.pool.options.id_memory_max));
                    *away = None;
                    return true;
                }
                Err(error) => {
                    let now = tokio::time::Instant::now();
                    let (since, _) = *away.get_or_insert((now, false));
                    self.pool.status.ledger(Some(error.to_string()));
                    if now - since >= self.pool.options.away_hold {
                        return false;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Items that were read and never entered: their ids are free again.
    fn forget(&self, items: VecDeque<Item>) {
        self.pool.backlog.set(self.pool.backlog.get() - items.len());
        let mut work = self.pool.work.borrow_mut();
        for item in items {
            work.window.leave(&item.notification.key());
        }
    }
}

/// What arrives next: deliveries where there is room for them, else only the news of a cut. Cancellation safe.
async fn next(inbox: &mut impl Inbox, has_room: bool) -> Result<Vec<Delivery>, BrokerError> {
    if has_room { inbox.take(TAKE_MOST).await } else { Err(inbox.cut().await) }
}

/// Waits between attempts: doubled each time, with jitter, between two bounds.
struct Backoff {
    bounds: (Duration, Duration),
    next: Duration,
}

impl Backoff {
    fn new(bounds: (Duration, Duration)) -> Self {
        Self { bounds, next: bounds.0 }
    }

    fn reset(&mut self) {
        self.next = self.bounds.0;
    }

    fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.bounds.1);
        // Half fixed, half by the id generator's random bits.
        let random = skein_core::NotificationId::now().as_bytes()[15];
        whole / 2 + whole / 2 * u32::from(random) / 255
    }
}
