//! What ties one life of a sender to the others, each to be cut and healed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skein_core::lease::BootMillis;
use skein_core::memory::{MemoryInbox, ScriptedTransport};
use tokio::sync::Notify;

/// The links of one life. A cut link is silent: nothing passes, and nobody is told.
#[derive(Default)]
pub struct Links {
    broker: AtomicBool,
    ledger: AtomicBool,
    apns: AtomicBool,
    /// When the broker said that the life's connections are closed; 0 while one is open.
    closed_at: AtomicU64,
    /// The broker closed its connections.
    pub closed: Notify,
    /// Attachments that this life has given up and the broker does not know of.
    limbo: Mutex<Vec<MemoryInbox>>,
    /// Its transports, one a pool.
    pub transports: Mutex<Vec<ScriptedTransport>>,
}

impl Links {
    /// All whole.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Cuts or heals the way to the broker.
    pub fn cut_broker(&self, cut: bool) {
        self.broker.store(cut, Ordering::Relaxed);
        if !cut {
            self.empty_limbo();
        }
    }

    /// Whether the way to the broker is cut.
    pub fn is_broker_cut(&self) -> bool {
        self.broker.load(Ordering::Relaxed)
    }

    /// Cuts or heals the way to the ledger.
    pub fn cut_ledger(&self, cut: bool) {
        self.ledger.store(cut, Ordering::Relaxed);
    }

    /// Whether the way to the ledger is cut.
    pub fn is_ledger_cut(&self) -> bool {
        self.ledger.load(Ordering::Relaxed)
    }

    /// Cuts or heals the way to APNs.
    pub fn cut_apns(&self, cut: bool) {
        self.apns.store(cut, Ordering::Relaxed);
    }

    /// Whether the way to APNs is cut.
    pub fn is_apns_cut(&self) -> bool {
        self.apns.load(Ordering::Relaxed)
    }

    /// The broker closes all connections of this life.
    pub fn close(&self, now: BootMillis) {
        self.closed_at.store(now.0, Ordering::Relaxed);
        self.closed.notify_one();
    }

    /// It is connected again.
    pub fn reopen(&self) {
        self.closed_at.store(0, Ordering::Relaxed);
    }

    /// Since when its connections are closed.
    pub fn closed_at(&self) -> Option<BootMillis> {
        Some(self.closed_at.load(Ordering::Relaxed)).filter(|at| *at > 0).map(BootMillis)
    }

    /// An attachment is given up here, which the broker can't be told.
    pub fn forget(&self, inbox: MemoryInbox) {
        self.limbo.lock().unwrap_or_else(PoisonError::into_inner).push(inbox);
    }

    /// The broker notices.
    pub fn empty_limbo(&self) {
        self.limbo.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
