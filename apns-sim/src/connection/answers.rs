//! Answers on their way out: some wait for their time, some for the client's flow-control window.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use skein_apns::frame::WINDOW_DEFAULT;

use super::writer;
use crate::broadcast::Reply;
use crate::devices::Delivery;
use crate::faults::Oddity;
use crate::fingerprint::BuildMixed;
use crate::reason::Reason;

/// What a request comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Accept,
    Refuse(Reason, Option<u64>),
    RefuseStream,
    Silence,
    Odd(Oddity),
    Broadcast(Box<Reply>),
}

/// A decided answer and what it belongs to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) stream: u32,
    pub(super) row: u32,
    pub(super) decision: Decision,
    pub(super) delivery: Delivery,
}

/// A DATA frame that does not fit the client's window yet.
struct Blocked {
    stream: u32,
    row: u32,
    body: Vec<u8>,
    window: i64,
}

pub(super) struct Answers {
    pub(super) out: Vec<u8>,
    /// Bytes of `out` that the driver took before.
    taken: u64,
    pub(super) split_bodies: bool,
    waiting: HashMap<u32, Answer, BuildMixed>,
    /// When each waiting answer is due.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// Answers held until a stall is lifted, in order.
    held: VecDeque<u32>,
    blocked: VecDeque<Blocked>,
    window: i64,
    stream_window: i64,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            out: Vec::new(),
            taken: 0,
            split_bodies: false,
            waiting: HashMap::default(),
            due: BinaryHeap::new(),
            held: VecDeque::new(),
            blocked: VecDeque::new(),
            window: i64::from(WINDOW_DEFAULT),
            stream_window: i64::from(WINDOW_DEFAULT),
        }
    }

    /// Where what is in `out` by now ends, of all that it ever had.
    pub(super) fn end(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    /// The driver takes what is in `out`.
    pub(super) fn is_taken(&mut self) {
        self.taken += self.out.len() as u64;
    }

    /// Streams whose answers are not yet in `out`.
    pub(super) fn pending(&self) -> usize {
        self.waiting.len() + self.blocked.len()
    }

    pub(super) fn wait_until(&mut self, due_ns: u64, answer: Answer) {
        self.due.push(Reverse((due_ns, answer.stream)));
        self.waiting.insert(answer.stream, answer);
    }

    pub(super) fn hold(&mut self, answer: Answer) {
        self.held.push_back(answer.stream);
        self.waiting.insert(answer.stream, answer);
    }

    pub(super) fn next_due_ns(&self) -> Option<u64> {
        self.due.peek().map(|Reverse((due_ns, _))| *due_ns)
    }

    pub(super) fn take_due(&mut self, now_ns: u64) -> Option<Answer> {
        while let Some(Reverse((due_ns, stream))) = self.due.peek().copied()
            && due_ns <= now_ns
        {
            self.due.pop();
            if let Some(answer) = self.waiting.remove(&stream) {
                return Some(answer);
            }
        }
        None
    }

    pub(super) fn take_held(&mut self) -> Option<Answer> {
        while let Some(stream) = self.held.pop_front() {
            if let Some(answer) = self.waiting.remove(&stream) {
                return Some(answer);
            }
        }
        None
    }

    /// Gives up every answer not yet in `out`: their streams were not processed.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = u32> + '_ {
        self.due.clear();
        self.held.clear();
        self.waiting.drain().map(|(_, answer)| answer.row)
    }

    /// The client gave the stream up.
    pub(super) fn forget(&mut self, stream: u32) {
        self.waiting.remove(&stream);
        self.blocked.retain(|blocked| blocked.stream != stream);
    }

    /// Writes a body, or keeps it until the window allows. `true` if it was written.
    pub(super) fn body(&mut self, stream: u32, row: u32, body: Vec<u8>) -> bool {
        let length = body.len() as i64;
        if self.blocked.is_empty() && length <= self.window && length <= self.stream_window {
            self.window -= length;
            writer::whole_body(stream, &body, self.split_bodies, &mut self.out);
            return true;
        }
        self.blocked.push_back(Blocked { stream, row, body, window: self.stream_window });
        false
    }

    /// The client's WINDOW_UPDATE; returns `false` if the window grows beyond what it may.
    pub(super) fn grow_window(&mut self, stream: u32, bytes: u32) -> bool {
        if stream == 0 {
            self.window += i64::from(bytes);
            return self.window <= i64::from(u32::MAX >> 1);
        }
        for blocked in self.blocked.iter_mut().filter(|blocked| blocked.stream == stream) {
            blocked.window += i64::from(bytes);
        }
        true
    }

    pub(super) fn set_stream_window(&mut self, bytes: u32) {
        let grown = i64::from(bytes) - self.stream_window;
        self.stream_window = i64::from(bytes);
        for blocked in &mut self.blocked {
            blocked.window += grown;
        }
    }

    /// Writes the next body that now fits, and returns its row.
    pub(super) fn unblock(&mut self) -> Option<u32> {
        let window = self.window;
        let fits = |blocked: &Blocked| (blocked.body.len() as i64) <= blocked.window.min(window);
        let at = self.blocked.iter().position(fits)?;
        let blocked = self.blocked.remove(at)?;
        self.window -= blocked.body.len() as i64;
        writer::whole_body(blocked.stream, &blocked.body, self.split_bodies, &mut self.out);
        Some(blocked.row)
    }
}
