//! A sender's way to APNs: what is written is flushed at the next look, and a process can freeze between the two.

use std::sync::{Arc, Mutex, PoisonError};

use skein_core::answer::{Answer, NotSent, Reply};
use skein_core::memory::{Reaction, ScriptedTransport};
use skein_core::seam::{Answered, Transport, Write};
use skein_core::{DeviceToken, PoolName, QueueName, SlotMap};

use crate::apns::Apns;
use crate::flaw::Flaw;
use crate::links::Links;
use crate::process::Process;
use crate::witness::{LifeId, Witness};

/// Whose wire it is.
#[derive(Clone)]
pub struct Whose {
    /// The life.
    pub life: LifeId,
    /// Its process, once it has started.
    pub process: std::rc::Rc<std::cell::OnceCell<Process>>,
    /// Its links.
    pub links: Arc<Links>,
    /// Sees what is written.
    pub witness: Witness,
    /// Who answers.
    pub apns: Apns,
    /// Which queue each slot is bound to, by pool.
    pub slots: [SlotMap; 2],
    /// The pools.
    pub pools: Vec<PoolName>,
    /// The double's flaw.
    pub flaw: Flaw,
}

/// The wire of one pool.
pub struct Wire {
    whose: Whose,
    pool: PoolName,
    inner: ScriptedTransport,
    /// What the script answers next.
    next: Arc<Mutex<Option<Reaction>>>,
    /// Written and not flushed.
    buffer: Vec<Write>,
    /// It was frozen since the gate was looked at.
    frozen: bool,
    under_way: Vec<(u64, DeviceToken)>,
    /// For the double with two in flight: what is answered before APNs has answered.
    hasty: Vec<Answered>,
}

impl Wire {
    /// A wire without a write.
    pub fn new(whose: Whose, pool: &PoolName) -> Self {
        let next = Arc::new(Mutex::new(None::<Reaction>));
        let script = Arc::clone(&next);
        let never = || Answer::NotSent(NotSent::NeverWritten).into();
        let inner = ScriptedTransport::new(move |_| {
            script.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(never)
        });
        whose.links.transports.lock().unwrap_or_else(PoisonError::into_inner).push(inner.clone());
        Self {
            whose,
            pool: pool.clone(),
            inner,
            next,
            buffer: Vec::new(),
            frozen: false,
            under_way: Vec::new(),
            hasty: Vec::new(),
        }
    }

    fn flush(&mut self) {
        let Whose { life, links, witness, apns, slots, pools, flaw, .. } = &self.whose;
        let slots = &slots[usize::from(self.pool != pools[0])];
        for write in self.buffer.drain(..) {
            let queue = QueueName {
                pool: self.pool.clone(),
                number: slots.queue(skein_core::Slot::of(&write.token)),
            };
            let (reaction, received) = match links.is_apns_cut() {
                true => (Answer::NotSent(NotSent::NeverWritten).into(), None),
                false => apns.answer(&self.pool, &write),
            };
            if let Some(received) = received {
                witness.writes(*life, &self.pool, &queue, &write, received, self.frozen);
            }
            self.next.lock().unwrap_or_else(PoisonError::into_inner).replace(reaction);
            self.under_way.push((write.key, write.token.clone()));
            if *flaw == Flaw::TwoInFlight {
                let answer = Answer::Reply(Reply::bare(200));
                self.hasty.push(Answered { key: write.key, answer, evidence: Default::default() });
            }
            self.inner.write(write);
        }
        self.frozen = false;
    }
}

impl Transport for Wire {
    fn room(&self) -> usize {
        self.inner.room().saturating_sub(self.buffer.len())
    }

    fn write(&mut self, write: Write) {
        self.buffer.push(write);
    }

    async fn progress(&mut self, answers: &mut Vec<Answered>) {
        if !self.buffer.is_empty() {
            if let Some(process) = self.whose.process.get() {
                // What another of its pools buffered before it froze is as late.
                self.frozen |= process.freezes_now() || process.is_frozen();
                process.thawed().await;
            }
            self.flush();
        }
        if !self.hasty.is_empty() {
            answers.append(&mut self.hasty);
            return;
        }
        let before = answers.len();
        loop {
            self.inner.progress(answers).await;
            for answered in &answers[before..] {
                if let Some(at) = self.under_way.iter().position(|(key, _)| *key == answered.key) {
                    let (_, token) = self.under_way.swap_remove(at);
                    self.whose.witness.answered(self.whose.life, &token);
                }
            }
            if self.whose.flaw != Flaw::TwoInFlight {
                return;
            }
            answers.truncate(before);
        }
    }

    fn trouble(&self) -> Option<skein_core::seam::Trouble> {
        self.inner.trouble()
    }
}
