//! What APNs makes of a write: accepts, refuses, answers late, never, or nobody can know.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_core::answer::{Answer, InDoubt, NotSent, Reply};
use skein_core::memory::{PausedClock, Reaction};
use skein_core::seam::{Clock, Write};
use skein_core::{DeviceToken, PoolName, Reason, Timestamp};

use crate::random::Random;

/// How APNs feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers everything, refuses little.
    Calm,
    /// Connections are lost, answers late.
    Stormy,
}

/// APNs. Clones share it.
#[derive(Clone)]
pub struct Apns {
    clock: PausedClock,
    random: Random,
    mood: Mood,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// From which write on a device is gone, and since when it is.
    doomed: HashMap<DeviceToken, (u32, Option<Timestamp>)>,
    /// Pools whose credential it refuses.
    refused: HashSet<PoolName>,
}

impl Apns {
    /// One in its mood, by its own clock.
    pub fn new(clock: PausedClock, random: Random, mood: Mood) -> Self {
        Self { clock, random, mood, state: Arc::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After so many writes the device is gone.
    pub fn doom(&self, token: DeviceToken, writes: u32) {
        self.state().doomed.insert(token, (writes, None));
    }

    /// Begins or ceases to refuse the credential of a pool.
    pub fn refuse(&self, pool: &PoolName, refuse: bool) {
        let mut state = self.state();
        if refuse {
            state.refused.insert(pool.clone())
        } else {
            state.refused.remove(pool)
        };
    }

    /// What becomes of a write: the answer its sender will get, and whether APNs accepted it (`None`: it never left).
    pub fn answer(&self, pool: &PoolName, write: &Write) -> (Reaction, Option<bool>) {
        let random = &self.random;
        let soon = random.millis(2, 40);
        let reply = |reply: Reply| (Reaction::Answer(soon, Answer::Reply(reply)), Some(false));
        let mut state = self.state();
        if state.refused.contains(pool) {
            return reply(Reply::refusal(403, Reason::InvalidProviderToken));
        }
        if let Some((left, since)) = state.doomed.get_mut(&write.token) {
            if *left == 0 {
                let at = *since.get_or_insert_with(|| self.clock.now());
                return reply(Reply { timestamp: Some(at), ..Reply::refusal(410, Reason::Unregistered) });
            }
            *left -= 1;
        }
        drop(state);
        let doubt = |after, why| Reaction::Answer(after, Answer::InDoubt(why));
        let stormy = self.mood == Mood::Stormy;
        match random.below(100) {
            0 => reply(Reply::refusal(503, Reason::ServiceUnavailable)),
            1 => reply(Reply::refusal(429, Reason::TooManyRequests)),
            2 => (Reaction::Answer(soon, Answer::NotSent(NotSent::AboveLastStream)), None),
            3 if stormy => (Reaction::Answer(soon, Answer::NotSent(NotSent::StreamRefused)), None),
            4..=5 if stormy => (doubt(random.millis(1, 300), InDoubt::ConnectionLost), Some(false)),
            6..=7 if stormy => (doubt(random.millis(1, 300), InDoubt::ConnectionLost), Some(true)),
            8 if stormy => (doubt(Duration::from_secs(3), InDoubt::Deadline), Some(random.percent(50))),
            9..=12 => {
                (Reaction::Answer(random.millis(100, 1_500), Answer::Reply(Reply::bare(200))), Some(true))
            }
            _ => (Reaction::Answer(soon, Answer::Reply(Reply::bare(200))), Some(true)),
        }
    }
}
