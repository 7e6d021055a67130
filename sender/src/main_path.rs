//! The main path, one pool on one shard: take → send → judge → record → settle.
//!
//! [`PoolShard::run`] is the loop; the five steps stand below it in order. Everything here is one thread's: no lock, no await
//! inside a step. A notification is in exactly one place: waiting in its lane, begun (with the transport, or its verdict on
//! its way into the ledger), or settled.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use skein_core::answer::Answer;
use skein_core::fact::{Cause, Fact, Final, Note, NoteKind};
use skein_core::lane::{LaneId, Lanes};
use skein_core::lease::BootMillis;
use skein_core::retry_budget::RetryBudget;
use skein_core::retry_schedule::Attempts;
use skein_core::seam::{Answered, Clock, DeadLetter, Transport, Write};
use skein_core::verdict::{PoolAction, Scope};
use skein_core::{
    Evidence, FinalVerdict, Fingerprint, Notification, NotificationKey, Timestamp, Verdict, judge,
};
use tokio::sync::{Notify, mpsc, watch};

use crate::attachment::Attachment;
use crate::badge::{Counts, with_badge};
use crate::breaker::{Breaker, Change};
use crate::metrics::PoolMetrics;
use crate::options::{Options, PoolOptions};
use crate::permits::{Cost, Permits};
use crate::recorder::{Batch, Done};
use crate::status::Status;
use crate::window::{DeliveryRef, Window};

/// How soon a shut gate is looked at again.
const GATE_LOOK: Duration = Duration::from_millis(20);
/// How long a retry is held at least while the pool's retry budget is used up.
const BUDGET_PAUSE: Duration = Duration::from_secs(1);
/// How often the transport is asked what troubles it.
const TROUBLE_LOOK: Duration = Duration::from_millis(200);
/// The most notifications handed to the transport before answers are looked at.
const SEND_MOST: usize = 1024;

/// A notification on its way, and what is known of it.
pub struct Item {
    /// The notification.
    pub notification: Notification,
    /// Its device token's fingerprint.
    pub device: Fingerprint,
    /// The delivery it came with.
    pub delivery: DeliveryRef,
    /// What has happened to it in this sender.
    pub attempts: Attempts,
    /// When it was taken.
    pub taken_at: BootMillis,
    /// APNs may have received it before (P3).
    pub possible_copy: bool,
    /// It came through a marked copy.
    pub repeat: bool,
    /// What its permit holds.
    pub cost: Cost,
}

impl Item {
    /// What an item takes of memory, beside its share of a content that it shares.
    pub fn cost_of(notification: &Notification) -> Cost {
        const BASE: usize = 512;
        let content = &notification.content;
        let bytes = BASE + content.payload.len() / Arc::strong_count(content).max(1);
        Cost(u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

/// What waits for a fact to be durable.
pub enum Waiting {
    /// The head of a lane.
    Lane(LaneId),
    /// An item that left its lane without being its head: superseded. It keeps its permit until then.
    Item(Box<Item>),
    /// An id that never entered a lane: a dead letter's.
    Key(NotificationKey),
    /// Nothing.
    Nobody,
}

/// What a pool's lanes and memory hold, on one shard.
pub struct Work {
    /// The lanes.
    pub lanes: Lanes<Item>,
    /// The id window.
    pub window: Window,
    /// Badge counts.
    pub counts: Counts,
    /// Tokens known gone, and since which insertion.
    pub gone: hashbrown::HashMap<u64, u64>,
    /// How many insertions there were.
    pub gone_stamp: u64,
    breaker: Breaker,
    budget: RetryBudget,
    outbox: Vec<Fact>,
    outbox_waits: Vec<Waiting>,
    pending: hashbrown::HashMap<u64, Vec<Waiting>>,
    next_batch: u64,
    gate_shut: bool,
}

/// One pool on one shard.
pub struct PoolShard<C: Clock> {
    /// The sender's settings.
    pub options: Arc<Options>,
    /// The pool's own.
    pub pool: PoolOptions,
    /// The clock.
    pub clock: C,
    /// Permits for items in lanes.
    pub permits: Permits,
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
                self.status.pool(&self.pool.name, transport.trouble());
            }
        }
    }

    /// **take**: items enter their lanes, each with a permit; the session has read them and looked them up.
    pub fn take(&self, item: Item) {
        let mut work = self.work.borrow_mut();
        let now = self.clock.now();
        let notification = &item.notification;
        let fresh = !item.possible_copy && !notification.is_expired(now);
        if let (true, true, Some(id)) = (self.pool.collapse, fresh, &notification.content.collapse_id) {
            let older = work.lanes.remove_of(&notification.token, |i| {
                i.notification.content.collapse_id.as_ref() == Some(id)
                    && i.attempts.total() == 0
                    && !i.possible_copy
            });
            for item in older {
                item.delivery.attachment.began();
                let fact = self.final_fact(&item, FinalVerdict::Superseded, "superseded".into(), now);
                work.tell(Fact::Final(Box::new(fact)), Waiting::Item(Box::new(item)));
            }
        }
        let token = item.notification.token.clone();
        work.lanes.enter(&token, item);
        drop(work);
        self.wake.notify_one();
    }

    /// **send**: begins what may begin: its lane is free, the gate is open, it has not expired, its token is not known gone.
    fn send<T: Transport>(&self, transport: &mut T) {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let mut work = self.work.borrow_mut();
        let Work { lanes, breaker, budget, gone, counts, outbox, outbox_waits, gate_shut, .. } = &mut *work;
        lanes.wake(now);
        let mut allowed = breaker.allows(transport.room().min(SEND_MOST), boot);
        let mut shut = Vec::new();
        while allowed > 0 {
            let Some((lane, item)) = lanes.begin() else { break };
            if !item.delivery.attachment.lease.is_open(boot) {
                shut.push(lane);
                continue;
            }
            item.delivery.attachment.began();
            let unsendable = if item.notification.is_expired(now) {
                Some((FinalVerdict::Expired, "expired"))
            } else if gone.contains_key(&item.device.short()) {
                Some((FinalVerdict::Suppressed, "token_gone"))
            } else {
                None
            };
            if let Some((verdict, cause)) = unsendable {
                let fact = self.final_fact(item, verdict, cause.into(), now);
                outbox.push(Fact::Final(Box::new(fact)));
                outbox_waits.push(Waiting::Lane(lane));
                continue;
            }
            let content = &item.notification.content;
            let payload = match item.notification.badge {
                None => content.payload.clone(),
                Some(badge) => with_badge(&content.payload, counts.shown(&item.device, badge))
                    .unwrap_or_else(|| content.payload.clone()),
            };
            if item.attempts.total() == 0 {
                budget.earn();
                self.metrics.first_write(content.submitted_at.map(|at| now.since(at)));
            }
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
    }

    /// **judge**: each answer becomes a verdict: final, or held at the head of its lane.
    fn judge(&self, answers: &mut Vec<Answered>) {
        let (now, boot) = (self.clock.now(), self.clock.boot());
        let mut work = self.work.borrow_mut();
        for Answered { key, answer, evidence } in answers.drain(..) {
            let lane = LaneId::from_u64(key);
            let work = &mut *work;
            let Some(item) = work.lanes.begun(lane) else {
                tracing::error!(pool = %self.pool.name, key, "an answer for a notification that is not begun; please report this");
                continue;
            };
            let held = boot.since(item.taken_at);
            let judgement = judge(&answer, &item.attempts, &self.options.retry, held);
            self.metrics.answered(&answer, &evidence);
            count(&mut item.attempts, &answer, judgement.scope);
            if matches!(answer, Answer::InDoubt(_)) {
                item.possible_copy = true;
            }
            let (cause, status) = words(&answer);
            let accepted = judgement.verdict == Verdict::Final(FinalVerdict::Accepted);
            match judgement.verdict {
                Verdict::Final(verdict) => {
                    let mut fact = self.final_fact(item, verdict, cause, now);
                    fact.status = status;
                    fact.duration_us = evidence.duration_us;
                    if verdict == FinalVerdict::TokenInvalid {
                        fact.gone_at = Some(gone_at(&answer, &evidence, now));
                    }
                    work.tell(Fact::Final(Box::new(fact)), Waiting::Lane(lane));
                }
                Verdict::Retry { after } => {
                    // What was not sent costs APNs nothing.
                    let free = matches!(answer, Answer::NotSent(_)) || work.budget.take(boot);
                    let until = now.plus(if free { after } else { after.max(BUDGET_PAUSE) });
                    let note = self.note(item, &answer, cause, status, now, until);
                    self.metrics.retried(note.kind);
                    work.tell(Fact::Note(Box::new(note)), Waiting::Nobody);
                    self.hold(work, lane, until);
                }
            }
            self.pool_action(&mut work.breaker, judgement.pool, accepted, boot, &answer);
        }
    }

    /// **record**: facts travel into the ledger; what they wait for is free when they are durable, not before.
    fn record(&self) {
        let mut work = self.work.borrow_mut();
        if !work.outbox.is_empty() {
            let facts = std::mem::take(&mut work.outbox);
            let waits = std::mem::take(&mut work.outbox_waits);
            let number = work.next_batch;
            work.next_batch += 1;
            work.pending.insert(number, waits);
            // The recorder lives as long as any shard; when it is gone, the process is ending and nothing is settled.
            let _ = self.recorder.send(Batch { number, facts, reply: self.reply.clone() });
        }
    }

    /// **settle**: what is durable leaves its lane, its deliveries are acked, its permit is free.
    pub fn settle(&self, done: Done) {
        let boot = self.clock.boot();
        let mut work = self.work.borrow_mut();
        let mut permits = Vec::new();
        for (index, waiting) in work.pending.remove(&done.number).unwrap_or_default().into_iter().enumerate()
        {
            let item = match waiting {
                Waiting::Nobody => continue,
                Waiting::Key(key) => {
                    for delivery in work.window.leave(&key) {
                        delivery.attachment.done(delivery.tag);
                    }
                    continue;
                }
                Waiting::Item(item) => *item,
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
        if done.recorded.gone.contains(&index) {
            work.gone_stamp += 1;
            let stamp = work.gone_stamp;
            work.gone.insert(item.device.short(), stamp);
        }
        if let (Some(badge), false) = (item.notification.badge, done.recorded.late.contains(&index)) {
            work.counts.applied(&item.device, badge);
        }
        if item.repeat {
            work.window.remember(key, boot, self.options.id_memory_max);
        }
        item.delivery.attachment.ended();
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
        }
        drop(work);
        self.permits.give(dropped.iter().map(|item| item.cost));
        self.wake.notify_one();
    }

    /// Queues a fact that is not a lane's: a dead letter's verdict, a batch's ids.
    pub fn record_for(&self, fact: Fact, waiting: Waiting) {
        self.work.borrow_mut().tell(fact, waiting);
        self.wake.notify_one();
    }

    fn hold(&self, work: &mut Work, lane: LaneId, until: Timestamp) {
        let Some(item) = work.lanes.begun(lane) else { return };
        let attachment = Rc::clone(&item.delivery.attachment);
        if attachment.is_void() {
            // It comes back on the next attachment, and is looked up there.
            if let Some(item) = work.lanes.finish(lane) {
                work.window.leave(&item.notification.key());
                self.permits.give([item.cost]);
            }
        } else {
            work.lanes.hold(lane, until);
        }
        attachment.ended();
    }

    fn pool_action(
        &self,
        breaker: &mut Breaker,
        action: PoolAction,
        accepted: bool,
        boot: BootMillis,
        answer: &Answer,
    ) {
        match breaker.answered(action, accepted, boot) {
            Change::None => {}
            Change::Stopped => {
                let cause = words(answer).0;
                tracing::error!(pool = %self.pool.name, %cause, "APNs refuses the credential or its settings: the pool is paused and its queue kept; check the credential's environment, topics and expiry");
                self.metrics.paused(true);
                self.status.paused(&self.pool.name, Some(&cause));
            }
            Change::Resumed => {
                tracing::info!(pool = %self.pool.name, "the pool writes again");
                self.metrics.paused(false);
                self.status.paused(&self.pool.name, None);
            }
        }
    }

    fn next_look(&self) -> Duration {
        let work = self.work.borrow();
        let mut look = Duration::from_secs(1);
        if let Some(due) = work.lanes.next_due() {
            look = look.min(due.since(self.clock.now()).max(Duration::from_millis(1)));
        }
        if let Some(probe) = work.breaker.next_probe() {
            look = look.min(probe.since(self.clock.boot()).max(Duration::from_millis(1)));
        }
        if work.gate_shut { look.min(GATE_LOOK) } else { look }
    }

    pub(crate) fn final_fact(
        &self,
        item: &Item,
        verdict: FinalVerdict,
        cause: Cause,
        now: Timestamp,
    ) -> Final {
        self.metrics.verdict(verdict);
        let Notification { content, .. } = &item.notification;
        Final {
            key: item.notification.key(),
            pool: self.pool.name.clone(),
            verdict,
            cause,
            status: 0,
            token: item.device,
            user: item.notification.user.as_deref().map(|u| self.options.fingerprint_key.text(u)),
            app: content.app.clone(),
            reference: content.reference.clone(),
            collapse: content.collapse_id.as_ref().map(|c| self.options.fingerprint_key.text(c.as_str())),
            submitted_at: content.submitted_at,
            at: now,
            queue: item.delivery.attachment.queue.number,
            attempts: item.attempts.total(),
            duration_us: 0,
            payload_bytes: u16::try_from(content.payload.len()).unwrap_or(u16::MAX),
            possible_copy: item.possible_copy,
            repeat: item.repeat,
            badge: item.notification.badge,
            gone_at: None,
            slot: item.notification.slot(),
            sender: Arc::clone(&self.options.member),
        }
    }

    fn note(
        &self,
        item: &Item,
        answer: &Answer,
        cause: Cause,
        status: u16,
        now: Timestamp,
        until: Timestamp,
    ) -> Note {
        Note {
            key: item.notification.key(),
            pool: self.pool.name.clone(),
            kind: if matches!(answer, Answer::InDoubt(_)) { NoteKind::InDoubt } else { NoteKind::Retry },
            cause,
            status,
            at: now,
            attempt: item.attempts.total(),
            until: Some(until),
            possible_copy: item.possible_copy,
            sender: Arc::clone(&self.options.member),
        }
    }
}

impl Work {
    /// Nothing yet.
    pub fn new(options: &Options) -> Self {
        let (share, floor) = options.retry_budget;
        Self {
            lanes: Lanes::default(),
            window: Window::default(),
            counts: Counts::default(),
            gone: hashbrown::HashMap::new(),
            gone_stamp: 0,
            breaker: Breaker::default(),
            budget: RetryBudget::new(share, floor),
            outbox: Vec::new(),
            outbox_waits: Vec::new(),
            pending: hashbrown::HashMap::new(),
            next_batch: 0,
            gate_shut: false,
        }
    }

    fn tell(&mut self, fact: Fact, waiting: Waiting) {
        self.outbox.push(fact);
        self.outbox_waits.push(waiting);
    }
}

/// The letter for a notification whose verdict the ledger can never store.
fn dead_letter(item: &Item, why: &str) -> DeadLetter {
    DeadLetter {
        queue: item.delivery.attachment.queue.clone(),
        kind: Arc::from(skein_core::wire::NOTIFICATION_V1),
        id: Some(item.notification.id),
        reason: "ledger_refused",
        detail: why.to_owned(),
        body: skein_core::wire::encode(&item.notification).unwrap_or_default().into(),
    }
}

fn count(attempts: &mut Attempts, answer: &Answer, scope: Scope) {
    let counter = match (answer, scope) {
        (Answer::InDoubt(_), _) => &mut attempts.in_doubt,
        (Answer::NotSent(_), _) => &mut attempts.not_sent,
        (_, Scope::Token) => &mut attempts.throttled,
        (_, Scope::Credential) => &mut attempts.credential,
        _ => &mut attempts.service,
    };
    *counter = counter.saturating_add(1);
}

/// The word and status that stand for an answer in ledger and log.
fn words(answer: &Answer) -> (Cause, u16) {
    match answer {
        Answer::NotSent(why) => (why.label().into(), 0),
        Answer::InDoubt(why) => (why.label().into(), 0),
        Answer::Reply(reply) => {
            let cause = match &reply.reason {
                Some(skein_core::Reason::Other(text)) => text.to_string().into(),
                Some(reason) => reason.label().into(),
                None => "".into(),
            };
            (cause, reply.status)
        }
    }
}

/// When a token was found gone: APNs' own word, or when the notification was sent.
fn gone_at(answer: &Answer, evidence: &Evidence, now: Timestamp) -> Timestamp {
    let sent_at = now.minus(Duration::from_micros(u64::from(evidence.duration_us)));
    match answer {
        Answer::Reply(reply) => reply.timestamp.unwrap_or(sent_at),
        _ => sent_at,
    }
}
