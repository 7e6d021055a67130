//! A queue's session, as a loop: attach, take until cut or told to leave, wait until nothing is begun, then claim and attach anew,
//! or say that it is left. The end of an attachment and *all its deliveries are void* are one event.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::QueueName;
use skein_core::fleet::Incarnation;
use skein_core::seam::{
    Broker, BrokerError, Clock, Coordinator, CoordinatorError, Delivery, Inbox, Ledger, Tenure,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::attachment::Attachment;
use crate::belief::Belief;
use crate::loading::{self, Early};
use crate::main_path::PoolShard;
use crate::quarantine::Quarantine;
use crate::reading::{Away, Reader};
use crate::startup::Milestone;
use crate::tenancy::{Backoff, Said, Step, Tenancy};
use crate::work::Item;

/// The most deliveries taken at once.
const TAKE_MOST: usize = 64;
/// How many items of a pool and shard may wait for permits before no more is taken. A batch that is read keeps its own items alone, which
/// is a fraction of its body where it has gone to many queues; so reading early costs less memory than waiting.
const BACKLOG_ITEMS: usize = 4096;

/// One queue, as long as it is this sender's.
pub struct Session<B: Broker, L: Ledger, K: Coordinator, C: Clock> {
    /// Its pool on this shard.
    pub pool: Rc<PoolShard<C>>,
    /// The broker.
    pub broker: B,
    /// The ledger.
    pub ledger: L,
    /// Whom it claims the queue from, and tells that it has left it.
    pub coordinator: Arc<K>,
    /// The earlier lives of this member that the kernel vouches are dead.
    pub dead_lives: Arc<[Incarnation]>,
    /// The queue.
    pub queue: QueueName,
}

enum End {
    Left,
    Cut(BrokerError),
}

/// What came of a claim.
enum Claim {
    /// It is this sender's, in a new epoch.
    Granted,
    /// Nobody answers: nothing is believed of the queue any more.
    Unanswered,
    /// It is not this sender's, or nobody will say so.
    Refused(CoordinatorError),
}

/// What the coordinator says of the queue, whenever it changes; `None` once it is no longer this sender's.
pub type Wanted = watch::Receiver<Option<Said>>;

impl<B: Broker, L: Ledger, K: Coordinator, C: Clock> Session<B, L, K, C> {
    /// Runs until the queue is no longer this sender's; leaves it by the one way.
    pub async fn run(self, mut wanted: Wanted) {
        let Some(first) = wanted.borrow().clone() else { return };
        self.reached(Milestone::Assigned);
        let mut early = Early::begin(&self.pool, &self.ledger, &first.owned);
        let mut tenancy = Tenancy::new(first);
        let mut backoff = Backoff::new(self.pool.tuned().backoff, (&self.pool.options.member, &self.queue));
        loop {
            let now = wanted.borrow_and_update().clone();
            let pause = match tenancy.next(now.as_ref(), &self.dead_lives) {
                Step::End => break,
                Step::Wait => None,
                Step::Serve => self.attach(&mut tenancy, &mut wanted, &mut backoff, &mut early).await,
                Step::Claim { predecessor_dead } => {
                    Some(match self.claim(&mut tenancy, predecessor_dead).await {
                        Claim::Granted => Duration::ZERO,
                        // One that this life had is attached to as it was (P7); an earlier life's is claimed again.
                        Claim::Unanswered if !matches!(tenancy.owned.tenure, Tenure::Inherited(_)) => {
                            Duration::ZERO
                        }
                        Claim::Unanswered => backoff.wait(),
                        // The next assignment tells whose it is; it is not taken on trust that it comes.
                        Claim::Refused(error) => {
                            self.pool.status.queue(&self.queue, Some(error.to_string()));
                            backoff.wait()
                        }
                    })
                }
                Step::Release => {
                    let left = self.release(&mut tenancy).await;
                    if !left && now.is_none() {
                        break;
                    }
                    Some(if left { Duration::ZERO } else { backoff.wait() })
                }
            };
            match pause {
                Some(pause) if pause.is_zero() => {}
                Some(pause) => tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    _ = wanted.changed() => {}
                },
                // Its other end lives as long as the shard wants the session.
                None => {
                    let _ = wanted.changed().await;
                }
            }
        }
        self.pool.status.released(&self.queue);
    }

    /// Attaches and serves until the queue is left or cut. How long to wait before the next step.
    async fn attach(
        &self,
        tenancy: &mut Tenancy,
        wanted: &mut Wanted,
        backoff: &mut Backoff,
        early: &mut Option<Early>,
    ) -> Option<Duration> {
        let (queue, status) = (&self.queue, &self.pool.status);
        status.queue(queue, Some("attaching".into()));
        let attached = tokio::select! {
            biased;
            attached = self.broker.attach(queue, tenancy.owned.prefetch) => attached,
            () = stopped(wanted, tenancy) => return Some(Duration::ZERO),
        };
        let mut inbox = match attached {
            Ok(inbox) => inbox,
            Err(error) => {
                status.queue(queue, Some(error.to_string()));
                return Some(backoff.wait());
            }
        };
        self.reached(Milestone::Attached);
        let attachment = Rc::new(Attachment::new(queue.clone(), inbox.lease()));
        let mut backlog = VecDeque::new();
        let early = early.take().filter(|early| early.holds_for(&tenancy.owned));
        let end = self.serve(&mut inbox, &attachment, &mut backlog, tenancy, wanted, early).await;
        self.forget(backlog);
        let cut = match end {
            Ok(End::Left) => {
                inbox.leave().await;
                tenancy.clean = attachment.is_clean(tenancy.clean);
                return Some(Duration::ZERO);
            }
            Ok(End::Cut(error)) | Err(error) => error,
        };
        attachment.void();
        drop(inbox);
        self.pool.metrics.cut();
        self.pool.drop_unbegun(&attachment);
        status.queue(queue, Some(cut.to_string()));
        while !attachment.is_quiet() {
            attachment.changed().await;
        }
        tenancy.clean = attachment.is_clean(tenancy.clean);
        tenancy.lost();
        backoff.reset();
        Some(backoff.wait())
    }

    /// Claims the queue anew. `predecessor_dead`: nothing that was attached before can write any more.
    async fn claim(&self, tenancy: &mut Tenancy, predecessor_dead: bool) -> Claim {
        let now = self.pool.clock.boot();
        match self.coordinator.reclaim(&self.queue, tenancy.owned.epoch, predecessor_dead).await {
            Ok(owned) => {
                tenancy.claimed(owned, now);
                self.reached(Milestone::Claimed);
                Claim::Granted
            }
            Err(CoordinatorError::Away(why)) => {
                tracing::debug!(queue = %self.queue, %why, "not claimed");
                tenancy.unclaimed();
                Claim::Unanswered
            }
            Err(error @ (CoordinatorError::Overtaken(_) | CoordinatorError::Refused(_))) => {
                Claim::Refused(error)
            }
        }
    }

    /// Says that the queue is left. `false` if that has to be said again.
    async fn release(&self, tenancy: &mut Tenancy) -> bool {
        let owned = &tenancy.owned;
        match self.coordinator.release(&self.queue, owned.epoch, tenancy.clean).await {
            // Overtaken: it is another's already.
            Ok(()) | Err(CoordinatorError::Overtaken(_)) => {
                tenancy.released();
                true
            }
            Err(error @ (CoordinatorError::Away(_) | CoordinatorError::Refused(_))) => {
                tracing::warn!(queue = %self.queue, %error, "left, and nobody could be told: its next owner waits the grace out");
                false
            }
        }
    }

    async fn serve(
        &self,
        inbox: &mut B::Inbox,
        attachment: &Rc<Attachment>,
        backlog: &mut VecDeque<Item>,
        tenancy: &mut Tenancy,
        wanted: &mut Wanted,
        mut early: Option<Early>,
    ) -> Result<End, BrokerError> {
        let pool = &self.pool;
        let mut away: Away = None;
        let mut loaded = false;
        let now = pool.clock.boot();
        let mut belief = Some(Belief::new(tenancy.said(), self.coordinator.standing(), now));
        let options = &pool.options;
        let name = self.queue.to_string();
        let mut quarantine =
            Quarantine::open(options.state_folder.as_ref(), &name, pool.tuned().quarantine_after).map_err(
                |error| BrokerError::Refused(format!("sender.state_folder cannot be used: {error}")),
            )?;
        let mut tags = Vec::new();
        let taken_from = pool.metrics.taken_from(&self.queue);
        pool.status.queue(&self.queue, None);
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
                () = stopped(wanted, tenancy) => {
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
                    self.reached(Milestone::Delivered);
                    // From here on nobody else is served.
                    if belief.take().is_some_and(|belief| !belief.holds(pool.clock.boot())) {
                        early = None;
                        if let Claim::Refused(error) = self.claim(tenancy, true).await {
                            return Ok(End::Cut(BrokerError::Away(error.to_string())));
                        }
                    }
                    if !tenancy.owned.predecessor_gone {
                        let grace = pool.options.grace.saturating_sub(tenancy.owned.grace_served);
                        if unless_stopped(wanted, tenancy, tokio::time::sleep(grace)).await.is_none() {
                            // What was taken and not read comes back.
                            continue;
                        }
                        self.settled(tenancy);
                    }
                    if !loaded {
                        let loading =
                            loading::load_or_hold(pool, &self.ledger, &tenancy.owned, early.take(), &mut away);
                        let Some(told) = unless_stopped(wanted, tenancy, loading).await else { continue };
                        loaded = told;
                        self.reached(Milestone::Loaded);
                    }
                    let mut reader = Reader {
                        pool: &**pool,
                        ledger: &self.ledger,
                        attachment: Rc::clone(attachment),
                        slots: &tenancy.owned.slots,
                        clean: tenancy.clean,
                        taken: &taken_from,
                        quarantine: &mut quarantine,
                        away: &mut away,
                    };
                    let mut fresh = VecDeque::new();
                    let read = {
                        let mut reading = std::pin::pin!(reader.read(deliveries, inbox, &mut fresh));
                        match unless_stopped(wanted, tenancy, &mut reading).await {
                            Some(read) => read,
                            None => {
                                attachment.hurry();
                                reading.await
                            }
                        }
                    };
                    pool.backlog.set(pool.backlog.get() + fresh.len());
                    backlog.append(&mut fresh);
                    read?;
                    self.reached(Milestone::LookedUp);
                }
            }
        }
    }

    /// The grace is over. That is worth telling, and nothing waits for its being heard: unheard, a next life of this member waits
    /// the grace out once more.
    fn settled(&self, tenancy: &mut Tenancy) {
        tenancy.owned.predecessor_gone = true;
        let (coordinator, queue, epoch) =
            (Arc::clone(&self.coordinator), self.queue.clone(), tenancy.owned.epoch);
        tokio::task::spawn_local(async move {
            if let Err(error) = coordinator.settled(&queue, epoch).await {
                tracing::debug!(%queue, %error, "that the grace is over was not heard");
            }
        });
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

    fn reached(&self, step: Milestone) {
        self.pool.status.startup.reached(step);
    }

    /// Items that were read and never entered: their ids are free again.
    fn forget(&self, items: VecDeque<Item>) {
        self.pool.backlog.set(self.pool.backlog.get() - items.len());
        let mut work = self.pool.work.borrow_mut();
        for item in items {
            work.window.leave(&item.notification.key());
            item.put_back();
        }
    }
}

/// Waits until this tenancy is over. Cancellation safe.
async fn stopped(wanted: &mut Wanted, tenancy: &Tenancy) {
    loop {
        // Its other end lives as long as the shard wants the session; without it nobody does.
        let _ = wanted.wait_for(|wanted| !tenancy.may_go_on(wanted.as_ref())).await;
        let until = tenancy.notice(wanted.borrow().as_ref(), Instant::now());
        let Some(until) = until else { return };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(until) => return,
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// What comes of something, unless this tenancy is over first.
async fn unless_stopped<T>(
    wanted: &mut Wanted,
    tenancy: &Tenancy,
    what: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        () = stopped(wanted, tenancy) => None,
        done = what => Some(done),
    }
}

/// What arrives next: deliveries where there is room for them, else only the news of a cut. Cancellation safe.
async fn next(inbox: &mut impl Inbox, has_room: bool) -> Result<Vec<Delivery>, BrokerError> {
    if has_room { inbox.take(TAKE_MOST).await } else { Err(inbox.cut().await) }
}
