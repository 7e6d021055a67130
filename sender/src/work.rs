//! What a pool's lanes and memory hold, on one shard.

use std::rc::Rc;
use std::sync::Arc;

use skein_core::fact::Fact;
use skein_core::lane::{LaneId, Lanes};
use skein_core::lease::BootMillis;
use skein_core::retry_budget::RetryBudget;
use skein_core::retry_schedule::Attempts;
use skein_core::{Fingerprint, Notification, NotificationKey};
use tokio::sync::mpsc;

use crate::badge::{Count, Counts};
use crate::breaker::Breaker;
use crate::gone::Gone;
use crate::loading::Loads;
use crate::options::Options;
use crate::permits::Cost;
use crate::recorder::{Batch, Done};
use crate::window::{DeliveryRef, Window};

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
    /// It is to be written again, and the pool's retry budget pays for that.
    pub owes: bool,
    /// When it was taken.
    pub taken_at: BootMillis,
    /// APNs may have received it before (P3).
    pub possible_copy: bool,
    /// It came back more than once: of its earlier owners, the last may have written what the one before had written.
    pub came_back_often: bool,
    /// It came through a marked copy.
    pub repeat: bool,
    /// A newer one with its collapse id came while it waited.
    pub superseded: bool,
    /// Its device's badge count, where its badge needs one.
    pub count: Count,
    /// APNs declared its token gone.
    pub found_gone: bool,
    /// The ledger said that its token is gone, when it was looked up.
    pub known_gone: bool,
    /// What its permit holds.
    pub cost: Cost,
}

impl Item {
    /// It goes back to its queue without a verdict.
    pub fn put_back(&self) {
        if self.possible_copy {
            self.delivery.attachment.doubt();
        }
    }

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
    /// Tokens known gone.
    pub gone: Gone,
    /// Whether the pool may write.
    pub breaker: Breaker,
    /// How many retries it may make.
    pub budget: RetryBudget,
    /// Facts for the recorder, and what waits for each.
    pub outbox: Outbox,
    /// Whether something is ready whose gate is shut.
    pub gate_shut: bool,
    /// What is being loaded for its queues.
    pub loads: Rc<Loads>,
}

impl Work {
    /// Nothing yet.
    pub fn new(options: &Options) -> Self {
        let (share, floor) = options.retry_budget;
        Self {
            lanes: Lanes::default(),
            window: Window::default(),
            counts: Counts::default(),
            gone: Gone::default(),
            breaker: Breaker::default(),
            budget: RetryBudget::new(share, floor),
            outbox: Outbox::default(),
            gate_shut: false,
            loads: Rc::default(),
        }
    }
}

/// Facts on their way to the recorder, and what waits for those that are with it.
#[derive(Default)]
pub struct Outbox {
    facts: Vec<Fact>,
    waits: Vec<Waiting>,
    pending: hashbrown::HashMap<u64, Vec<Waiting>>,
    next_batch: u64,
}

impl Outbox {
    /// A fact, and what waits for it to be durable.
    pub fn tell(&mut self, fact: Fact, waiting: Waiting) {
        self.facts.push(fact);
        self.waits.push(waiting);
    }

    /// Hands what has gathered to the recorder, as one batch.
    pub fn send(&mut self, recorder: &mpsc::UnboundedSender<Batch>, reply: &mpsc::UnboundedSender<Done>) {
        if self.facts.is_empty() {
            return;
        }
        let number = self.next_batch;
        self.next_batch += 1;
        self.pending.insert(number, std::mem::take(&mut self.waits));
        let facts = std::mem::take(&mut self.facts);
        // The recorder lives as long as any shard; when it is gone, the process is ending and nothing is settled.
        let _ = recorder.send(Batch { number, facts, reply: reply.clone() });
    }

    /// What waited for a batch, by the index of its facts.
    pub fn done(&mut self, number: u64) -> Vec<Waiting> {
        self.pending.remove(&number).unwrap_or_default()
    }
}
