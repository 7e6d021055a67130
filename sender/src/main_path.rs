//! The main path, one pool on one shard: take → send → judge → record → settle.
//!
//! [`PoolShard::run`] is the loop; the five steps stand below it in order. Everything here is one thread's: no lock, no await
//! inside a step. A notification is in exactly one place: waiting in its lane, begun (with the transport, or its verdict on
//! its way into the ledger), or settled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::answer::Answer;
use skein_core::fact::Fact;
use skein_core::lane::LaneId;
use skein_core::lease::BootMillis;
use skein_core::seam::{Answered, Clock, Transport, Write};
use skein_core::{FinalVerdict, Verdict, judge};
use tokio::sync::{Notify, mpsc, watch};

use crate::attachment::Attachment;
use crate::badge::with_badge;
use crate::facts::{count, dead_letter, gone_at, is_load, words};
use crate::metrics::PoolMetrics;
use crate::options::{Options, PoolOptions, Tuned};
use crate::permits::Permits;
use crate::recorder::{Batch, Done};
use crate::startup::Milestone;
use crate::status::Status;
use crate::work::{Item, Waiting, Work};

/// How soon a shut gate is looked at again.
const GATE_LOOK: Duration = Duration::from_millis(20);
/// How long a retry is held when the pool's retry budget is used up; then it asks again.
const BUDGET_PAUSE: Duration = Duration::from_secs(1);
/// How often the transport is asked what troubles it.
const TROUBLE_LOOK: Duration = Duration::from_millis(200);
/// The most notifications handed to the transport before answers are looked at.
const SEND_MOST: usize = 1024;

/// One pool on one shard.
pub struct PoolShard<C: Clock> {
    /// The sender's settings, as they were at the start.
    pub options: Arc<Options>,
    /// The pool's own, as they were at the start.
    pub pool: PoolOptions,
    /// What of all of them may change.
    pub tuned: RefCell<Rc<Tuned>>,
    /// The clock.
    pub clock: C,
    /// Permits for items in lanes.
    pub permits: Permits,
    /// Items that were read and wait for permits.
    pub backlog: Cell<usize>,
    /// The state; never borrowed across an await.
    pub work: RefCell<Work>,
    /// Something was entered or dropped.
    pub wake: Notify,
    /// Counters.
    pub metrics: PoolMetrics,
    /// For the pages.
    pub status: Arc<Status>,
    /// Into the ledger.
    pub recorder: mpsc::UnboundedSender<Batch>,
    /// Out of the ledger.
    pub reply: mpsc::UnboundedSender<Done>,
}

impl<C: Clock> PoolShard<C> {
    /// What may change, as it is now.
    pub fn tuned(&self) -> Rc<Tuned> {
        Rc::clone(&self.tuned.borrow())
    }

    /// Goes by other settings from now on; what of them can't change while it runs stays as it is.
    pub fn tune(&self, options: &Options) {
        let Some(pool) = options.pools.iter().find(|pool| pool.name == self.pool.name) else { return };
        self.tuned.replace(Rc::new(options.tuned(pool)));
        let (items, bytes) = options.held();
        self.permits.resize(items, bytes);
        let (share, floor) = options.retry_budget;
        self.work.borrow_mut().budget.set(share, floor);
        self.wake.notify_one();
    }

    /// Runs until `stop` is true and nothing that had begun is left.
    pub async fn run<T: Transport>(
        self: Rc<Self>,
        mut transport: T,
        mut durable: mpsc::UnboundedReceiver<Done>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut answers = Vec::new();
        let mut looked = BootMillis::default();
        loop {
            self.send(&mut transport);
            self.record();
            let look = self.next_look();
            tokio::select! {
                biased;
                Some(done) = durable.recv() => self.settle(done),
                () = transport.progress(&mut answers) => self.judge(&mut answers),
                () = self.wake.notified() => {}
                () = tokio::time::sleep(look) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            while let Ok(done) = durable.try_recv() {
                self.settle(done);
            }
            if self.clock.boot().since(looked) >= TROUBLE_LOOK {
                looked = self.clock.boot();
                self.look_at(transport.trouble().as_ref());
            }
        }
    }

    /// **take**: items enter their lanes, each with a permit; the session has read them and looked them up.
    pub fn take(&self, item: Item) {
        let mut work = self.work.borrow_mut();
        let now = self.clock.now();
        let notification = &item.notification;
        let fresh = !item.possible_copy && !notification.is_expired(now);
        if let (true, true, Some(id)) =
            (self.tuned.borrow().pool.collapse, fresh, &notification.content.collapse_id)
        {
            // It stays in its place and is concluded in its turn: what comes after it waits until that is durable.
            for older in work.lanes.waiting_of(&notification.token) {
                let same = older.notification.content.collapse_id.as_ref() == Some(id);
                older.superseded |= same && older.attempts.total() == 0 && !older.possible_copy;
            }
        }
        let token = item.notification.token.clone();
        work.lanes.enter(&token, item);
        drop(work);
        self.wake.notify_one();
    }

    /// **send**: begins what may begin: its lane is free, the gate is open, it has not expired, its topic is the
    /// pool's, its token is not known gone, and a retry is within the pool's budget.
    fn send<T: Transport>(&self, transport: &mut T) {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let tuned = self.tuned();
        let mut work = self.work.borrow_mut();
        let Work { lanes, breaker, budget, gone, outbox, gate_shut, .. } = &mut *work;
        lanes.wake(boot);
        if let Some(windows) = tuned.pool.windows {
            transport.resize(windows);
        }
        let room = transport.room();
        if room > 0 {
            self.status.startup.reached(Milestone::Connected);
        }
        let mut allowed = breaker.allows(room.min(SEND_MOST), boot);
        let (mut shut, mut starved) = (Vec::new(), Vec::new());
        while allowed > 0 {
            let Some((lane, item)) = lanes.begin() else { break };
            if !item.delivery.attachment.lease.is_open(boot) {
                shut.push(lane);
                continue;
            }
            let unsendable = if item.superseded {
                Some((FinalVerdict::Superseded, "superseded"))
            } else if item.notification.is_expired(now) {
                Some((FinalVerdict::Expired, "expired"))
            } else if !tuned.pool.covers(&item.notification.content) {
                Some((FinalVerdict::Failed, "topic_not_in_pool"))
            } else if !transport.covers(&item.notification.content) {
                Some((FinalVerdict::Failed, "topic_not_in_credential"))
            } else if gone.contains(item.device.short())
                || item.known_gone && gone.is_asked(item.device.short())
            {
                Some((FinalVerdict::Suppressed, "token_gone"))
            } else if item.owes && !budget.take(boot) {
                if boot.since(item.taken_at) < tuned.retry.hold_max {
                    starved.push(lane);
                    continue;
                }
                Some((FinalVerdict::Failed, "retry_budget"))
            } else {
                None
            };
            item.delivery.attachment.began();
            self.metrics.began();
            if let Some((verdict, cause)) = unsendable {
                let fact = self.final_fact(item, verdict, cause.into(), now);
                outbox.tell(Fact::Final(Box::new(fact)), Waiting::Lane(lane));
                continue;
            }
            let content = &item.notification.content;
            let payload = match item.notification.badge {
                None => content.payload.clone(),
                Some(badge) => item
                    .count
                    .shown(badge)
                    .and_then(|number| with_badge(&content.payload, number))
                    .unwrap_or_else(|| content.payload.clone()),
            };
            if item.attempts.total() == 0 {
                budget.earn();
                self.metrics.first_write(content.submitted_at.map(|at| now.since(at)));
            }
            item.owes = false;
            self.status.startup.reached(Milestone::Written);
            breaker.began();
            allowed -= 1;
            transport.write(Write {
                key: lane.as_u64(),
                id: item.notification.id,
                token: item.notification.token.clone(),
                content: Arc::clone(content),
                payload,
            });
        }
        *gate_shut = !shut.is_empty();
        for lane in shut {
            lanes.put_back(lane);
        }
        for lane in starved {
            lanes.hold(lane, boot.plus(BUDGET_PAUSE));
        }
    }

    /// **judge**: each answer becomes a verdict: final, or held at the head of its lane.
    fn judge(&self, answers: &mut Vec<Answered>) {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let tuned = self.tuned();
        let mut work = self.work.borrow_mut();
        for Answered { key, answer, evidence } in answers.drain(..) {
            let lane = LaneId::from_u64(key);
            let work = &mut *work;
            let Some(item) = work.lanes.begun(lane) else {
                tracing::error!(pool = %self.pool.name, key, "an answer for a notification that is not begun; please report this");
                continue;
            };
            let held = boot.since(item.taken_at);
            let mut judgement = judge(&answer, &item.attempts, &tuned.retry, held);
            let accepted = judgement.verdict == Verdict::Final(FinalVerdict::Accepted);
            let change = work.breaker.answered(judgement.pool, accepted, evidence.connection, boot);
            self.tell(change, &answer);
            if work.breaker.is_open() {
                judgement = judgement.while_stopped();
            }
            self.metrics.answered(&answer, &evidence);
            self.written(item, &answer, &evidence, now);
            count(&mut item.attempts, &answer, judgement.scope);
            if matches!(answer, Answer::InDoubt(_)) {
                item.possible_copy = true;
            }
            let (cause, status) = words(&answer);
            match judgement.verdict {
                Verdict::Final(verdict) => {
                    let mut fact = self.final_fact(item, verdict, cause, now);
                    fact.status = status;
                    fact.duration_us = evidence.duration_us;
                    if verdict == FinalVerdict::TokenInvalid {
                        fact.gone_at = Some(gone_at(&answer, &evidence, now));
                        item.found_gone = true;
                    }
                    work.outbox.tell(Fact::Final(Box::new(fact)), Waiting::Lane(lane));
                }
                Verdict::Retry { after } => {
                    let until = now.plus(after);
                    item.owes = is_load(&answer, judgement.scope);
                    // What is tried for want of a connection is noted once, however long that lasts.
                    if !matches!(answer, Answer::NotSent(_)) || item.attempts.not_sent == 1 {
                        let note = self.note(item, &answer, cause, status, now, until);
                        self.metrics.retried(note.kind);
                        work.outbox.tell(Fact::Note(Box::new(note)), Waiting::Nobody);
                    }
                    self.hold(work, lane, boot.plus(after));
                }
            }
        }
    }

    /// **record**: facts travel into the ledger; what they wait for is free when they are durable, not before.
    fn record(&self) {
        self.work.borrow_mut().outbox.send(&self.recorder, &self.reply);
    }

    /// **settle**: what is durable leaves its lane, its deliveries are acked, its permit is free.
    pub fn settle(&self, done: Done) {
        let boot = self.clock.boot();
        let mut work = self.work.borrow_mut();
        let mut permits = Vec::new();
        for (index, waiting) in work.outbox.done(done.number).into_iter().enumerate() {
            let item = match waiting {
                Waiting::Nobody => continue,
                Waiting::Key(key) => {
                    for delivery in work.window.leave(&key) {
                        delivery.attachment.done(delivery.tag);
                    }
                    continue;
                }
                Waiting::Lane(lane) => match work.lanes.finish(lane) {
                    Some(item) => item,
                    None => continue,
                },
            };
            permits.push(item.cost);
            self.finished(&mut work, &item, index, &done, boot);
        }
        work.window.forget(boot, self.options.id_memory);
        drop(work);
        self.permits.give(permits);
    }

    fn finished(&self, work: &mut Work, item: &Item, index: usize, done: &Done, boot: BootMillis) {
        let key = item.notification.key();
        // A verdict whose first commit had an unknown end comes back late, and says no more whether its token is gone.
        let late = done.recorded.late.contains(&index);
        if done.recorded.gone.contains(&index) || late && item.found_gone {
            work.gone.found(item.device.short());
        }
        if let (Some(badge), false) = (item.notification.badge, late) {
            item.count.applied(badge);
        }
        if item.repeat {
            work.window.remember(key, boot, self.options.id_memory_max);
        }
        item.delivery.attachment.ended();
        self.metrics.ended();
        let deliveries = work.window.leave(&key);
        match done.recorded.refused.iter().find(|refused| refused.index == index) {
            Some(refused) => item.delivery.attachment.bury_later(dead_letter(item, &refused.why), deliveries),
            None => deliveries.iter().for_each(|delivery| delivery.attachment.done(delivery.tag)),
        }
    }

    /// The attachment was cut, or is being left: drops what came through it and has not begun. It comes back.
    pub fn drop_unbegun(&self, attachment: &Rc<Attachment>) {
        let mut work = self.work.borrow_mut();
        let dropped = work.lanes.remove_where(|item| Rc::ptr_eq(&item.delivery.attachment, attachment));
        for item in &dropped {
            work.window.leave(&item.notification.key());
            item.put_back();
        }
        drop(work);
        self.permits.give(dropped.iter().map(|item| item.cost));
        self.wake.notify_one();
    }

    /// Queues a fact that is not a lane's: a dead letter's verdict, a batch's ids.
    pub fn record_for(&self, fact: Fact, waiting: Waiting) {
        self.work.borrow_mut().outbox.tell(fact, waiting);
        self.wake.notify_one();
    }

    fn hold(&self, work: &mut Work, lane: LaneId, until: BootMillis) {
        let Some(item) = work.lanes.begun(lane) else { return };
        let attachment = Rc::clone(&item.delivery.attachment);
        if attachment.is_void() {
            // It comes back on the next attachment, and is looked up there.
            if let Some(item) = work.lanes.finish(lane) {
                work.window.leave(&item.notification.key());
                item.put_back();
                self.permits.give([item.cost]);
            }
        } else {
            work.lanes.hold(lane, until);
        }
        attachment.ended();
        self.metrics.ended();
    }

    fn next_look(&self) -> Duration {
        let work = self.work.borrow();
        let mut look = Duration::from_secs(1);
        if let Some(due) = work.lanes.next_due() {
            look = look.min(due.since(self.clock.boot()).max(Duration::from_millis(1)));
        }
        if let Some(probe) = work.breaker.next_probe() {
            look = look.min(probe.since(self.clock.boot()).max(Duration::from_millis(1)));
        }
        if work.gate_shut { look.min(GATE_LOOK) } else { look }
    }
}
