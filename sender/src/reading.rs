//! From deliveries to items: decode once, pass each id through the window, look up what may have been here before.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use skein_core::fact::{Fact, Final, SubmittedBatch};
use skein_core::seam::{BrokerError, Clock, DeadLetter, Delivery, Inbox, Known, Ledger, LookUp};
use skein_core::wire::{self, Decoded};
use skein_core::{FinalVerdict, Fingerprint, Notification, NotificationId, NotificationKey, Slot, SlotMap};

use crate::attachment::Attachment;
use crate::badge::Count;
use crate::main_path::PoolShard;
use crate::metrics::account::Taken;
use crate::metrics::zero::{KILLED_ITS_OWNER, MALFORMED_ITEM};
use crate::quarantine::{Quarantine, Suspicion};
use crate::window::{DeliveryRef, Entry};
use crate::work::{Item, Waiting};

/// How often a look-up is tried again while the ledger is away.
const LOOK_UP_PAUSE: Duration = Duration::from_millis(100);

/// Since when the ledger has not answered look-ups, and whether that was told.
pub type Away = Option<(tokio::time::Instant, bool)>;

/// Reads the deliveries of one attachment.
pub struct Reader<'a, C: Clock, L: Ledger> {
    /// The pool it reads for.
    pub pool: &'a PoolShard<C>,
    /// The ledger.
    pub ledger: &'a L,
    /// The attachment.
    pub attachment: Rc<Attachment>,
    /// Which slots live where.
    pub slots: &'a SlotMap,
    /// Nothing that anybody wrote from the queue before this attachment is in doubt.
    pub clean: bool,
    /// What is taken from the queue.
    pub taken: &'a Taken,
    /// Messages that may kill their owner.
    pub quarantine: &'a mut Quarantine,
    /// Since when the ledger has not answered look-ups, and whether that was told.
    pub away: &'a mut Away,
}

impl<C: Clock, L: Ledger> Reader<'_, C, L> {
    /// Reads deliveries, in their order, into `items` to enter. What can't be read is buried; what was final is settled.
    ///
    /// # Errors
    /// The attachment was cut; what is in `items` is in the id window, for the caller to take out.
    pub async fn read(
        &mut self,
        deliveries: Vec<Delivery>,
        inbox: &mut impl Inbox,
        items: &mut VecDeque<Item>,
    ) -> Result<(), BrokerError> {
        let redelivered = deliveries.iter().filter(|d| d.redelivered).count();
        self.pool.metrics.taken(deliveries.len(), redelivered);
        for delivery in deliveries {
            self.decode(delivery, inbox, items).await?;
        }
        self.look_up(items).await;
        Ok(())
    }

    async fn decode(
        &mut self,
        delivery: Delivery,
        inbox: &mut impl Inbox,
        items: &mut VecDeque<Item>,
    ) -> Result<(), BrokerError> {
        if !delivery.redelivered {
            self.attachment.caught_up();
        }
        let suspicion = self.quarantine.look(&delivery.body, delivery.returns).map_err(not_noted)?;
        if suspicion == Suspicion::Convicted {
            let detail = format!(
                "its owner ended while it was decoded, after it had come back {} times",
                delivery.returns
            );
            self.bury(&delivery, None, KILLED_ITS_OWNER, detail, inbox).await?;
            self.quarantine.acquit().map_err(not_noted)?;
            self.attachment.opened(delivery.tag, 0);
            return Ok(());
        }
        let now = self.pool.clock.now();
        let number = self.attachment.queue.number;
        let owns = |slot: Slot| self.slots.queue(slot) == number;
        let decoded = wire::decode(&delivery.kind, &delivery.body, now, owns);
        if suspicion == Suspicion::Noted {
            self.quarantine.acquit().map_err(not_noted)?;
        }
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(malformed) => {
                self.bury(&delivery, None, malformed.label(), malformed.to_string(), inbox).await?;
                self.attachment.opened(delivery.tag, 0);
                return Ok(());
            }
        };
        let Decoded { items: own, bad, submitted } = decoded;
        for bad in &bad {
            let detail = bad.faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            self.bury(&delivery, bad.id, MALFORMED_ITEM, detail, inbox).await?;
        }
        if let Some(submitted) = submitted {
            let fact = SubmittedBatch { pool: self.pool.pool.name.clone(), at: now, ids: submitted.ids };
            self.pool.record_for(Fact::Submitted(Box::new(fact)), Waiting::Nobody);
        }
        let dead: Vec<NotificationId> =
            bad.iter().filter_map(|bad| bad.id.filter(|id| id.is_near(now))).collect();
        self.attachment.opened(delivery.tag, own.len() + dead.len());
        for id in dead {
            self.record_dead(id, delivery.tag);
        }
        let before = items.len();
        for notification in own {
            self.enter_window(notification, &delivery, items);
        }
        if !delivery.redelivered && !delivery.repeat {
            self.taken.count(delivery.from_front_door, items.len() - before);
        }
        Ok(())
    }

    fn enter_window(&self, notification: Notification, delivery: &Delivery, items: &mut VecDeque<Item>) {
        let reference = DeliveryRef { attachment: Rc::clone(&self.attachment), tag: delivery.tag };
        let entry = self.pool.work.borrow_mut().window.enter(notification.key(), reference.clone());
        match entry {
            Entry::Hangs => {}
            Entry::WasFinal => self.attachment.done(delivery.tag),
            Entry::First => {
                let device = self.pool.options.fingerprint_key.token(&notification.token);
                let count = match notification.badge {
                    Some(_) => self.pool.work.borrow().counts.get(&device),
                    None => Count::default(),
                };
                items.push_back(Item {
                    cost: Item::cost_of(&notification),
                    device,
                    notification,
                    delivery: reference,
                    attempts: skein_core::retry_schedule::Attempts::default(),
                    owes: false,
                    taken_at: self.pool.clock.boot(),
                    possible_copy: delivery.redelivered || delivery.repeat,
                    came_back_often: delivery.returns > 1,
                    repeat: delivery.repeat,
                    superseded: false,
                    count,
                    found_gone: false,
                    known_gone: false,
                });
            }
        }
    }

    /// Looks up, in one batch, the items that may have been here before, whose token may be gone, or whose badge count is not
    /// known. While the ledger is away the first are held, but not beyond the hold; then they are sent as possible copies. So are all whose token may
    /// be gone, once not all such tokens fit in memory; then they are written.
    async fn look_up(&mut self, items: &mut VecDeque<Item>) {
        let asked: Vec<usize> = {
            let work = self.pool.work.borrow();
            let needs = |item: &Item| {
                item.possible_copy
                    || work.gone.is_asked(item.device.short())
                    || (item.notification.badge.is_some() && !item.count.is_known())
            };
            items.iter().enumerate().filter(|(_, item)| needs(item)).map(|(index, _)| index).collect()
        };
        if asked.is_empty() {
            return;
        }
        let keys: Vec<LookUp> = asked
            .iter()
            .map(|i| LookUp { key: items[*i].notification.key(), token: items[*i].device })
            .collect();
        let stamp = self.pool.work.borrow().gone.stamp();
        // A badge is not worth holding a queue for, nor a token that is known gone; one that may be gone without anybody here knowing is (P4).
        let is_partial = self.pool.work.borrow().gone.is_partial();
        let hold = is_partial || asked.iter().any(|index| items[*index].possible_copy);
        let Some(known) = self.ask(&keys, hold).await else { return };
        let mut settled = Vec::new();
        for (index, known) in asked.into_iter().zip(known) {
            if self.learn(&mut items[index], known, stamp) {
                settled.push(index);
            }
        }
        for index in settled.into_iter().rev() {
            items.remove(index);
        }
    }

    /// Takes in what the ledger knows. Whether the item was final, and is settled.
    fn learn(&self, item: &mut Item, known: Known, stamp: u64) -> bool {
        let mut work = self.pool.work.borrow_mut();
        item.known_gone = known.device.gone_at.is_some();
        work.gone.looked_up(item.device.short(), item.known_gone, stamp);
        if item.notification.badge.is_some() {
            item.count = work.counts.loaded(item.device, known.device.badge);
        }
        if known.verdict.is_none() {
            // Whoever had it before left nothing in doubt, so it was not written; what its producer repeats may have been.
            item.possible_copy &= item.repeat || !self.clean;
            return false;
        }
        let key = item.notification.key();
        if item.repeat {
            // Its verdict was durable after the ids of such were loaded perhaps, and the unmarked original can still come.
            work.window.remember(key, self.pool.clock.boot(), self.pool.options.id_memory_max);
        }
        if item.came_back_often {
            // The first owner's verdict was durable late perhaps, after the second had looked and written; and the second has died
            // before it could say so.
            let note = self.pool.lost_owners(item, self.pool.clock.now());
            work.outbox.tell(Fact::Note(Box::new(note)), Waiting::Key(key));
            self.pool.wake.notify_one();
            return true;
        }
        for delivery in work.window.leave(&key) {
            delivery.attachment.done(delivery.tag);
        }
        true
    }

    /// Asks the ledger. While it is away, and `hold` says that copies are at stake, it is asked again until the hold is over.
    async fn ask(&mut self, keys: &[LookUp], hold: bool) -> Option<Vec<Known>> {
        loop {
            match self.ledger.look_up(keys).await {
                Ok(known) => {
                    *self.away = None;
                    return Some(known);
                }
                Err(error) => {
                    let now = tokio::time::Instant::now();
                    let (since, told) = *self.away.get_or_insert((now, false));
                    let over = now - since >= self.pool.tuned().away_hold;
                    if hold && over && !told {
                        *self.away = Some((since, true));
                        tracing::warn!(queue = %self.attachment.queue, %error, "look-ups can't be answered: what may have been here before is sent as a possible copy");
                    }
                    if !hold || over || self.attachment.is_void() || self.attachment.hurries() {
                        return None;
                    }
                    tokio::time::sleep(LOOK_UP_PAUSE).await;
                }
            }
        }
    }

    async fn bury(
        &self,
        delivery: &Delivery,
        id: Option<NotificationId>,
        reason: &'static str,
        detail: String,
        inbox: &mut impl Inbox,
    ) -> Result<(), BrokerError> {
        tracing::warn!(queue = %self.attachment.queue, ?id, reason, %detail, "a message goes to the dead letters");
        self.pool.metrics.dead_letter(reason);
        let queue = self.attachment.queue.clone();
        inbox
            .bury(DeadLetter {
                queue,
                kind: delivery.kind.clone(),
                id,
                reason,
                detail,
                body: delivery.body.clone(),
            })
            .await
    }

    /// The verdict of an item that can't be read but has an id; its delivery waits for it.
    fn record_dead(&self, id: NotificationId, tag: u64) {
        let key = NotificationKey { id, generation: 0 };
        let delivery = DeliveryRef { attachment: Rc::clone(&self.attachment), tag };
        match self.pool.work.borrow_mut().window.enter(key, delivery) {
            Entry::Hangs => return,
            Entry::WasFinal => return self.attachment.done(tag),
            Entry::First => {}
        }
        self.pool.metrics.verdict(FinalVerdict::Dead, None);
        let fact = Final {
            key,
            pool: self.pool.pool.name.clone(),
            verdict: FinalVerdict::Dead,
            cause: "malformed".into(),
            status: 0,
            token: Fingerprint([0; 16]),
            user: None,
            app: None,
            reference: None,
            collapse: None,
            submitted_at: None,
            at: self.pool.clock.now(),
            queue: self.attachment.queue.number,
            attempts: 0,
            duration_us: 0,
            payload_bytes: 0,
            possible_copy: false,
            repeat: false,
            badge: None,
            gone_at: None,
            slot: self.slots.slots(self.attachment.queue.number).next().unwrap_or_default(),
            sender: self.pool.options.member.clone(),
        };
        self.pool.record_for(Fact::Final(Box::new(fact)), Waiting::Key(key));
    }
}

/// A suspect that can't be noted is not decoded: the attachment is given up, and tried anew.
fn not_noted(error: std::io::Error) -> BrokerError {
    BrokerError::Refused(format!("a suspect cannot be noted in sender.state_folder: {error}"))
}
