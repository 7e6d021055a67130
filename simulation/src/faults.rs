//! What each fault of a script does, and how it is over.

use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use skein_core::answer::{Answer, InDoubt};
use skein_core::fleet::{MemberId, Quarantine, Wanted};
use skein_core::memory::ScriptedTransport;
use skein_core::seam::{Clock, Coordinator, FleetStore};

use crate::script::Fault;
use crate::sender::Life;
use crate::stage::{HEARTBEAT, Stage};

/// How many writes a transport takes.
const ROOM: usize = 1000;

fn after(millis: u64, what: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(async move {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        what.await;
    });
}

impl Stage {
    /// Lets a fault happen; what ends it goes on by itself.
    pub async fn strike(self: &Rc<Self>, fault: Fault) {
        self.witness.tell(|| format!("FAULT {fault:?}"));
        let now = self.clock.boot();
        match fault {
            Fault::Kill { member, polls, back, lock } => self.kill(member, polls, back, lock),
            Fault::KillOwner { queue, polls, back, lock } => {
                if let Some(member) = self.owner_of(&self.queues[queue]) {
                    self.kill(member, polls, back, lock);
                }
            }
            Fault::Freeze { member, millis, at_flush } => self.freeze(member, millis, at_flush),
            Fault::Vanish { member, back } => {
                let Some(life) = self.life(member) else { return };
                life.links.cut_broker(true);
                life.process.kill();
                life.seat.set_away(true);
                self.expire(Rc::clone(&life));
                self.heartbeat(life);
                self.start_later(member, back, false);
            }
            Fault::Twin { member, millis } => {
                let Some(life) = self.life(member) else { return };
                life.links.cut_broker(true);
                self.watched.kick(&life, now, false);
                self.start(member, false);
                after(millis, async move { life.links.cut_broker(false) });
            }
            Fault::ResetBroker { member } => {
                if let Some(life) = self.life(member) {
                    self.watched.kick(&life, now, true);
                }
            }
            Fault::CutBroker { member, millis, told } => {
                let Some(life) = self.life(member) else { return };
                life.links.cut_broker(true);
                if told {
                    self.watched.kick(&life, now, false);
                } else {
                    self.heartbeat(Rc::clone(&life));
                }
                after(millis, async move { life.links.cut_broker(false) });
            }
            Fault::CutQueue { queue, seen: true } => self.broker.cut(&self.queues[queue]),
            Fault::CutQueue { queue, seen: false } => self.broker.cut_unseen(&self.queues[queue]),
            Fault::CutCoordinator { member, millis } => {
                let Some(life) = self.life(member) else { return };
                life.seat.set_away(true);
                self.expire(Rc::clone(&life));
                after(millis, async move { heal_seat(&life) });
            }
            Fault::CutLedger { member, millis } => {
                let Some(life) = self.life(member) else { return };
                life.links.cut_ledger(true);
                after(millis, async move { life.links.cut_ledger(false) });
            }
            Fault::CutApns { member, millis } => {
                let Some(life) = self.life(member) else { return };
                life.links.cut_apns(true);
                for transport in transports(&life) {
                    transport.set_room(0);
                    transport.lose(&Answer::InDoubt(InDoubt::ConnectionLost));
                }
                after(millis, async move { heal_apns(&life) });
            }
            Fault::BrokerAway { millis } => {
                self.broker.set_away(true);
                for life in self.watched.lives.borrow().iter().filter(|life| !life.process.has_ended()) {
                    life.links.empty_limbo();
                    life.links.close(now);
                }
                self.watched.events.notify_waiters();
                let stage = Rc::clone(self);
                after(millis, async move { stage.broker_back() });
            }
            Fault::LedgerAway { millis } => {
                self.ledger.set_away(true);
                let stage = Rc::clone(self);
                after(millis, async move { stage.ledger.set_away(false) });
            }
            Fault::LedgerSlow { by, millis } => {
                self.pace.calls.store(by, Ordering::Relaxed);
                let stage = Rc::clone(self);
                after(millis, async move { stage.pace.calls.store(0, Ordering::Relaxed) });
            }
            Fault::LateCommits { by, millis } => {
                self.pace.commits.store(by, Ordering::Relaxed);
                let stage = Rc::clone(self);
                after(millis, async move { stage.pace.commits.store(0, Ordering::Relaxed) });
            }
            Fault::LostAnswers { calls } => self.pace.lost_answers.store(calls, Ordering::Relaxed),
            Fault::CoordinatorAway { millis } => {
                self.fleet.set_away(true);
                let stage = Rc::clone(self);
                after(millis, async move { stage.fleet.set_away(false) });
            }
            Fault::Depose => self.fleet.depose(),
            Fault::LateDeliveries { by, millis } => {
                self.delay.store(by, Ordering::Relaxed);
                let stage = Rc::clone(self);
                after(millis, async move { stage.delay.store(0, Ordering::Relaxed) });
            }
            Fault::RefuseCredential { pool, millis } => {
                let (apns, name) = (self.apns.clone(), self.pools[pool].clone());
                apns.refuse(&name, true);
                after(millis, async move { apns.refuse(&name, false) });
            }
            Fault::Restart { member, drain, back } => self.restart(member, drain, back),
            Fault::Drain { member, millis } => {
                let Some(id) = Self::member_id(member) else { return };
                self.wish(Wanted::Drain { member: id.clone() }).await;
                let stage = Rc::clone(self);
                after(millis, async move { stage.wish(Wanted::Undrain { member: id }).await });
            }
            Fault::Pause { queue, millis } => {
                let queue = self.queues[queue].clone();
                self.wish(Wanted::Pause { queue: queue.clone() }).await;
                let stage = Rc::clone(self);
                after(millis, async move { stage.wish(Wanted::Resume { queue }).await });
            }
            Fault::Move { queue, to } => {
                let Some(to) = Self::member_id(to) else { return };
                self.wish(Wanted::Move { queue: self.queues[queue].clone(), to }).await;
            }
            Fault::Rebalance => self.wish(Wanted::Rebalance).await,
            Fault::Join => {
                let next = self.members.borrow().len();
                self.start(next, true);
            }
            Fault::Succeed { member } => self.succeed(member),
            Fault::Quarantine { member, millis } => {
                let Some(id) = Self::member_id(member) else { return };
                let by = || "operator".to_owned();
                let since = skein_core::Timestamp::default();
                let quarantine = Quarantine { member: id.clone(), by: by(), why: by(), since };
                // A store that is away refuses: then there is none.
                let _ = self.fleet.quarantine(quarantine).await;
                let stage = Rc::clone(self);
                after(millis, async move { stage.lift(&id).await });
            }
            Fault::Skew { member, ahead } => self.host(member).clock.set_ahead(ahead),
        }
    }

    async fn lift(&self, member: &MemberId) {
        while self.fleet.lift(member, "operator").await.is_err() && !self.over.get() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Starts another member in the place of one, which ends when nothing is its own any more, or it has waited for long.
    fn succeed(self: &Rc<Self>, member: usize) {
        let Some(life) = self.life(member) else { return };
        let next = self.members.borrow().len();
        self.start_after(next, true, Some(life.owner.clone()));
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if life.seat.assignment().borrow().queues.is_empty() {
                    break;
                }
            }
            life.stop.stop();
            life.process.ended().await;
            stage.witness.tell(|| format!("life {} is succeeded and has left", life.number));
            stage.bury(&life);
        });
    }

    /// Writes a wish down, again until the store takes it.
    pub async fn wish(&self, wanted: Wanted) {
        while self.fleet.wish("operator", wanted.clone()).await.is_err() && !self.over.get() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn kill(self: &Rc<Self>, member: usize, polls: u32, back: Option<u64>, lock: bool) {
        let Some(life) = self.life(member) else { return };
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            life.process.kill_after(polls);
            // It may be frozen, or idle: then it dies now.
            let _ = tokio::time::timeout(Duration::from_millis(30), life.process.ended()).await;
            life.process.kill();
            stage.witness.tell(|| format!("life {} is dead", life.number));
            stage.bury(&life);
            if let Some(back) = back {
                stage.start_later(member, back, lock);
            }
        });
    }

    fn start_later(self: &Rc<Self>, member: usize, back: u64, lock: bool) {
        let stage = Rc::clone(self);
        after(back, async move {
            if stage.life(member).is_none() {
                stage.start(member, lock);
            }
        });
    }

    fn freeze(self: &Rc<Self>, member: usize, millis: u64, at_flush: bool) {
        let Some(life) = self.life(member).filter(|life| life.is_alive()) else { return };
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if at_flush {
                life.process.freeze_at_flush();
                // It writes nothing: then it freezes where it is.
                for _ in 0..50 {
                    if life.process.is_frozen() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
            life.process.freeze();
            life.seat.set_away(true);
            stage.expire(Rc::clone(&life));
            stage.heartbeat(Rc::clone(&life));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            stage.witness.tell(|| format!("life {} thaws", life.number));
            life.process.thaw();
            tokio::time::sleep(Duration::from_millis(millis % 300)).await;
            heal_seat(&life);
        });
    }

    /// The broker closes the connections of a life that is silent for too long.
    fn heartbeat(self: &Rc<Self>, life: Rc<Life>) {
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(HEARTBEAT * 2).await;
            if life.links.is_broker_cut() || life.process.is_frozen() {
                stage.watched.kick(&life, stage.clock.boot(), false);
            }
        });
    }

    fn restart(self: &Rc<Self>, member: usize, drain: bool, back: u64) {
        let Some(life) = self.life(member) else { return };
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if drain {
                let draining = skein_core::fleet::Member { draining: true, ..life.member.clone() };
                life.seat.describe(draining);
                for _ in 0..20 {
                    if life.seat.assignment().borrow().queues.is_empty() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            life.stop.stop();
            life.process.ended().await;
            stage.witness.tell(|| format!("life {} has left", life.number));
            stage.bury(&life);
            stage.start_later(member, back, true);
        });
    }

    fn broker_back(&self) {
        self.broker.set_away(false);
        self.watched.back_at.replace(Some(self.clock.boot()));
        self.watched.events.notify_waiters();
    }

    /// Everything is whole again; who is gone for good stays so, unless nobody is left.
    pub async fn heal(self: &Rc<Self>) {
        self.witness.tell(|| "everything heals".into());
        self.over.set(true);
        self.fleet.set_away(false);
        self.ledger.set_away(false);
        if self.broker.is_away() {
            self.broker_back();
        }
        for pool in &self.pools {
            self.apns.refuse(pool, false);
        }
        for pace in [&self.pace.calls, &self.pace.commits, &self.pace.lost_answers, &self.delay] {
            pace.store(0, Ordering::Relaxed);
        }
        let lives = self.watched.lives.borrow().clone();
        for life in &lives {
            life.links.cut_broker(false);
            life.links.cut_ledger(false);
            if life.process.has_ended() {
                life.links.empty_limbo();
            } else {
                life.process.thaw();
                heal_apns(life);
                heal_seat(life);
            }
        }
        if self.members.borrow().iter().flatten().all(|life| life.process.has_ended()) {
            self.start(0, false);
        }
        self.release().await;
    }

    /// Takes back every wish that keeps something from going on, and releases the half-gone hold.
    pub async fn release(&self) {
        for queue in &self.queues {
            self.wish(Wanted::Resume { queue: queue.clone() }).await;
        }
        let count = self.members.borrow().len();
        for id in (0..count).filter_map(Self::member_id) {
            self.wish(Wanted::Undrain { member: id.clone() }).await;
            self.lift(&id).await;
        }
        self.wish(Wanted::ReleaseHold).await;
    }
}

fn transports(life: &Life) -> Vec<ScriptedTransport> {
    life.links.transports.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn heal_apns(life: &Life) {
    life.links.cut_apns(false);
    transports(life).iter().for_each(|transport| transport.set_room(ROOM));
}

fn heal_seat(life: &Life) {
    if life.is_alive() && life.seat.is_away() {
        life.seat.set_away(false);
    }
}
