//! What must be known before a queue's first write: tokens known gone, and ids made final through marked copies. It is asked for once
//! for all queues of a pool and shard that need it at the same time, since the answer opens every day of the ledger.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use skein_core::Slot;
use skein_core::seam::{Clock, Ledger, LedgerError, OwnedQueue, Tenure};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::main_path::PoolShard;
use crate::reading::Away;

/// How far the wall clocks of two senders may be apart: what the one has noted last is not long ago for the other then.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(2 * 3_600);

/// How often a load is tried again while the ledger is away.
const AGAIN: Duration = Duration::from_millis(100);

/// The loads of one pool on one shard: numbered, one at a time.
#[derive(Default)]
pub struct Loads {
    turn: Mutex<()>,
    /// What is still asked for, each with the first load that may answer it: one that begins after it was asked for. At most every
    /// slot.
    asked: RefCell<BTreeMap<Slot, u64>>,
    begun: Cell<u64>,
    answered: Cell<u64>,
}

impl Loads {
    /// Asks for these slots; gives the number of the first load that answers.
    fn ask(&self, slots: impl IntoIterator<Item = Slot>) -> u64 {
        let next = self.begun.get() + 1;
        self.asked.borrow_mut().extend(slots.into_iter().map(|slot| (slot, next)));
        next
    }

    /// Begins a load; gives its number, and what it asks for.
    fn begin(&self) -> (u64, Vec<Slot>) {
        self.begun.set(self.begun.get() + 1);
        (self.begun.get(), self.asked.borrow().keys().copied().collect())
    }

    /// A load is answered. What was asked for after it had begun is not.
    fn answer(&self, number: u64) {
        self.asked.borrow_mut().retain(|_, first| *first > number);
        self.answered.set(number);
    }
}

/// Loads, once, what must be known of these slots, as it is after this call. With others that ask at the same moment, or while a
/// load is on its way, one load is made. Cancellation safe.
///
/// # Errors
/// As the ledger says; another call tries again.
async fn load<C: Clock, L: Ledger>(
    pool: &PoolShard<C>,
    ledger: &L,
    slots: Vec<Slot>,
) -> Result<(), LedgerError> {
    let loads = Rc::clone(&pool.work.borrow().loads);
    let first = loads.ask(slots);
    // Sessions that begin together ask together.
    tokio::task::yield_now().await;
    let _turn = loads.turn.lock().await;
    if loads.answered.get() >= first {
        return Ok(());
    }
    let (number, slots) = loads.begin();
    let name = &pool.pool.name;
    let since = pool.clock.now().minus(pool.options.id_memory + CLOCKS_APART_MAX);
    let (gone, repeats) = tokio::try_join!(ledger.gone(name, &slots), ledger.repeats(name, since))?;
    let boot = pool.clock.boot();
    let mut work = pool.work.borrow_mut();
    work.counts.forget_unused();
    work.gone.loaded(gone);
    for key in repeats {
        work.window.remember(key, boot, pool.options.id_memory_max);
    }
    loads.answer(number);
    Ok(())
}

/// A load that was begun before its queue was attached to.
pub struct Early {
    epoch: u64,
    load: JoinSet<Result<(), LedgerError>>,
}

impl Early {
    /// Begins to load for a queue that is attached to next and from which nobody else writes any more; `None` if that is not so. Dropped,
    /// it is given up.
    ///
    /// What a dead predecessor had on its way to the ledger can still become durable: whatever that was about was not settled, comes back, and
    /// is looked up.
    pub fn begin<C: Clock, L: Ledger>(
        pool: &Rc<PoolShard<C>>,
        ledger: &L,
        owned: &OwnedQueue,
    ) -> Option<Self> {
        if !may_begin(owned) {
            return None;
        }
        let (pool, ledger, slots) = (Rc::clone(pool), ledger.clone(), slots_of(owned));
        let mut loading = JoinSet::new();
        loading.spawn_local(async move { load(&pool, &ledger, slots).await });
        Some(Self { epoch: owned.epoch, load: loading })
    }

    /// Whether nobody but this sender can have written from the queue since, as long as what was said of it is believed
    /// ([`crate::belief::Belief`]).
    pub fn holds_for(&self, owned: &OwnedQueue) -> bool {
        owned.predecessor_gone && owned.epoch == self.epoch
    }
}

/// Loads, as often as it takes, what must be known before a queue's first write; `early` counts if it was answered. `false` if the
/// ledger stayed away for the whole hold. Cancellation safe.
pub async fn load_or_hold<C: Clock, L: Ledger>(
    pool: &PoolShard<C>,
    ledger: &L,
    owned: &OwnedQueue,
    early: Option<Early>,
    away: &mut Away,
) -> bool {
    if let Some(mut early) = early
        && matches!(early.load.join_next().await, Some(Ok(Ok(()))))
    {
        return true;
    }
    while let Err(error) = load(pool, ledger, slots_of(owned)).await {
        let now = Instant::now();
        let (since, _) = *away.get_or_insert((now, false));
        pool.status.ledger(Some(error.to_string()));
        if now - since >= pool.tuned().away_hold {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    *away = None;
    true
}

/// Whether the queue is attached to next, and nobody else writes from it any more.
fn may_begin(owned: &OwnedQueue) -> bool {
    owned.predecessor_gone && !owned.paused && owned.tenure == Tenure::Hold
}

fn slots_of(owned: &OwnedQueue) -> Vec<Slot> {
    owned.slots.slots(owned.queue.number).collect()
}

#[cfg(test)]
mod tests {
    use skein_core::fleet::Incarnation;
    use skein_core::{PoolName, QueueName, SlotMap};

    use super::*;

    fn slot(number: u16) -> Slot {
        Slot::all().nth(usize::from(number)).unwrap()
    }

    #[test]
    fn a_load_answers_what_was_asked_before_it_began() {
        let loads = Loads::default();
        assert_eq!((loads.ask([slot(1)]), loads.ask([slot(2)])), (1, 1));
        assert_eq!(loads.begin(), (1, vec![slot(1), slot(2)]));
        assert_eq!(loads.ask([slot(2), slot(3)]), 2, "P2: what it reads may be older than this question");
        loads.answer(1);
        assert_eq!(loads.begin(), (2, vec![slot(2), slot(3)]));
    }

    fn owned(epoch: u64) -> OwnedQueue {
        OwnedQueue {
            queue: QueueName { pool: PoolName::parse("im").unwrap(), number: 0 },
            epoch,
            prefetch: 100,
            slots: SlotMap::even(4),
            predecessor_gone: true,
            grace_served: Duration::ZERO,
            left_clean: false,
            paused: false,
            tenure: Tenure::Hold,
        }
    }

    #[test]
    fn p2_an_early_load_is_begun_where_nobody_else_writes_any_more() {
        assert!(may_begin(&owned(4)));
        let inherited = Tenure::Inherited(Incarnation(uuid::Uuid::from_u128(7)));
        for other in [
            OwnedQueue { predecessor_gone: false, ..owned(4) },
            OwnedQueue { paused: true, ..owned(4) },
            OwnedQueue { tenure: inherited, ..owned(4) },
        ] {
            assert!(!may_begin(&other), "{other:?}");
        }
    }

    #[test]
    fn p2_p4_an_early_load_counts_in_the_epoch_it_was_begun_in() {
        let early = Early { epoch: 4, load: JoinSet::new() };
        assert!(early.holds_for(&owned(4)));
        assert!(!early.holds_for(&owned(5)), "another may have had the queue between");
        let unclaimed = OwnedQueue { predecessor_gone: false, ..owned(4) };
        assert!(!early.holds_for(&unclaimed), "what was said of its predecessor counts no more");
    }

    #[test]
    fn what_a_load_did_not_answer_is_asked_again() {
        let loads = Loads::default();
        loads.ask([slot(1)]);
        loads.begin();
        assert_eq!(loads.ask([slot(2)]), 2);
        assert_eq!(loads.begin(), (2, vec![slot(1), slot(2)]), "the first was given up");
    }
}
