//! A transport that answers by a script.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::answer::{Answer, Evidence, Reply};
use crate::seam::{Answered, Transport, Trouble, Write};

/// The room of a transport that was given none.
const ROOM: usize = 1000;

/// What a script makes of a write.
#[derive(Debug, Clone)]
pub enum Reaction {
    /// Answer after this time.
    Answer(Duration, Answer),
    /// Answer when the test says so: [`ScriptedTransport::release`].
    Hold,
}

impl From<Answer> for Reaction {
    fn from(answer: Answer) -> Self {
        Self::Answer(Duration::ZERO, answer)
    }
}

/// A transport that keeps every write and answers by a script. Clones share it: one for the sender, one for the test.
#[derive(Clone)]
pub struct ScriptedTransport {
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
}

type Script = Box<dyn FnMut(&Write) -> Reaction + Send>;

struct State {
    script: Script,
    room: usize,
    has_grown: bool,
    writes: Vec<Write>,
    /// What will be answered, by when and in which turn.
    due: BTreeMap<(Instant, u64), Answered>,
    held: VecDeque<(u64, Instant)>,
    turn: u64,
    connection: u32,
    trouble: Option<Trouble>,
}

impl State {
    fn answer(&mut self, key: u64, written: Instant, at: Instant, answer: Answer) {
        self.turn += 1;
        let micros = at.duration_since(written).as_micros();
        let duration_us = u32::try_from(micros).unwrap_or(u32::MAX);
        let evidence = Evidence { connection: self.connection, stream: 1, duration_us };
        // As a real one: a connection that refuses the credential is replaced.
        self.connection += u32::from(matches!(&answer, Answer::Reply(reply) if reply.status == 403));
        self.due.insert((at, self.turn), Answered { key, answer, evidence });
    }
}

impl ScriptedTransport {
    /// A transport whose writes the script answers, in any order of its own.
    pub fn new(script: impl FnMut(&Write) -> Reaction + Send + 'static) -> Self {
        let state = State {
            script: Box::new(script),
            room: ROOM,
            has_grown: false,
            writes: Vec::new(),
            due: BTreeMap::new(),
            held: VecDeque::new(),
            turn: 0,
            connection: 1,
            trouble: None,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::default() }
    }

    /// A transport that accepts everything at once.
    pub fn accepting() -> Self {
        Self::new(|_| Answer::Reply(Reply::bare(200)).into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes may be without an answer from now on. 0 is a transport without a connection.
    pub fn set_room(&self, room: usize) {
        let mut state = self.state();
        state.has_grown |= room > state.room;
        state.room = room;
        drop(state);
        self.changed.notify_one();
    }

    /// What [`Transport::trouble`] says.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// Answers a held write. Nothing happens if it is not held.
    pub fn release(&self, key: u64, answer: Answer) {
        let mut state = self.state();
        if let Some(place) = state.held.iter().position(|(held, _)| *held == key)
            && let Some((key, written)) = state.held.remove(place)
        {
            state.answer(key, written, Instant::now(), answer);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Answers every held write, in the order of writing.
    pub fn release_all(&self, answer: &Answer) {
        let mut state = self.state();
        while let Some((key, written)) = state.held.pop_front() {
            state.answer(key, written, Instant::now(), answer.clone());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Loses its connections: each write without an answer gets this one now.
    pub fn lose(&self, answer: &Answer) {
        let mut state = self.state();
        let now = Instant::now();
        let under_way: Vec<_> = state.due.split_off(&(now, u64::MAX)).into_values().collect();
        for answered in under_way {
            state.answer(answered.key, now, now, answer.clone());
        }
        drop(state);
        self.release_all(answer);
    }

    /// Every write, in order.
    pub fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// The keys of the held writes, in order.
    pub fn held(&self) -> Vec<u64> {
        self.state().held.iter().map(|(key, _)| *key).collect()
    }
}

impl Transport for ScriptedTransport {
    fn room(&self) -> usize {
        let state = self.state();
        state.room.saturating_sub(state.due.len() + state.held.len())
    }

    fn write(&mut self, write: Write) {
        let mut state = self.state();
        let now = Instant::now();
        match (state.script)(&write) {
            Reaction::Answer(after, answer) => state.answer(write.key, now, now + after, answer),
            Reaction::Hold => state.held.push_back((write.key, now)),
        }
        state.writes.push(write);
        drop(state);
        self.changed.notify_one();
    }

    async fn progress(&mut self, answers: &mut Vec<Answered>) {
        loop {
            let next = {
                let mut state = self.state();
                let before = answers.len();
                let now = Instant::now();
                while let Some(first) = state.due.first_entry().filter(|first| first.key().0 <= now) {
                    answers.push(first.remove());
                }
                if answers.len() > before || std::mem::take(&mut state.has_grown) {
                    return;
                }
                state.due.first_key_value().map(|((at, _), _)| *at)
            };
            let changed = self.changed.notified();
            match next {
                Some(at) => drop(tokio::time::timeout_at(at, changed).await),
                None => changed.await,
            }
        }
    }

    fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.clone()
    }
}

#[cfg(test)]
#[path = "transport/tests.rs"]
mod tests;
