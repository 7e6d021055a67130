//! One queue as RabbitMQ's quorum queues with a single active consumer behave, without a task or a lock of its own.
//!
//! What returns from an ended attachment goes to the end of a list of returns, in order, and that list is served before
//! what was never delivered. After one end, or several under an equal or growing prefetch, the list is empty by then and the
//! order stands. After a second end under a *smaller* prefetch it is not, and the order breaks (measured on RabbitMQ 3.10:
//! prefetch 10 killed at 0–9, prefetch 5 killed at 0–4, the third gets 5–9 before 0–4). So does this.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::lease::Lease;
use crate::seam::Delivery;

/// One message as it is published.
#[derive(Debug, Clone)]
pub struct Message {
    /// The AMQP `type`.
    pub kind: Arc<str>,
    /// The body.
    pub body: Bytes,
    /// Marked by its producer as published before (`x-skein-repeat`).
    pub repeat: bool,
}

/// How much is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Not delivered at present.
    pub ready: usize,
    /// Delivered and not settled, taken or not.
    pub unsettled: usize,
}

impl Depth {
    /// All of it.
    pub const fn total(self) -> usize {
        self.ready + self.unsettled
    }
}

#[derive(Debug)]
struct Stored {
    message: Message,
    returns: u32,
}

/// The consumer being served.
struct Active {
    attachment: u64,
    client: Arc<str>,
    prefetch: u16,
    last_tag: u64,
    /// Delivered and not settled.
    unsettled: BTreeMap<u64, Stored>,
    /// The tags of those that were pushed to the consumer and not taken by it.
    pushed: VecDeque<u64>,
    lease: Arc<Lease>,
}

/// A queue's whole state.
#[derive(Default)]
pub(super) struct Queue {
    returns: VecDeque<Stored>,
    ready: VecDeque<Stored>,
    active: Option<Active>,
    /// Attachments that wait to be served, in turn.
    waiting: VecDeque<Waiting>,
    /// Attachments that were given up without their noticing.
    unseen: BTreeSet<u64>,
}

struct Waiting {
    attachment: u64,
    client: Arc<str>,
    prefetch: u16,
    lease: Arc<Lease>,
}

/// How an attachment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is being served.
    Active,
    /// It waits while another one is being served.
    Waiting,
    /// It was given up, and does not know.
    GivenUp,
    /// It is over, and knows.
    Ended,
}

/// A delivery that the consumer does not have: the channel ends, as with RabbitMQ's `PRECONDITION_FAILED`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownTag;

impl Queue {
    pub(super) fn publish(&mut self, message: Message) {
        self.ready.push_back(Stored { message, returns: 0 });
        self.push();
    }

    pub(super) fn line_up(&mut self, attachment: u64, client: Arc<str>, prefetch: u16, lease: Arc<Lease>) {
        self.waiting.push_back(Waiting { attachment, client, prefetch, lease });
        self.serve_next();
    }

    pub(super) fn standing(&self, attachment: u64) -> Standing {
        if self.active.as_ref().is_some_and(|a| a.attachment == attachment) {
            Standing::Active
        } else if self.waiting.iter().any(|w| w.attachment == attachment) {
            Standing::Waiting
        } else if self.unseen.contains(&attachment) {
            Standing::GivenUp
        } else {
            Standing::Ended
        }
    }

    /// Ends an attachment, served or waiting.
    pub(super) fn end(&mut self, attachment: u64) {
        let standing = self.standing(attachment);
        self.waiting.retain(|w| w.attachment != attachment);
        self.unseen.remove(&attachment);
        if standing == Standing::Active {
            self.end_active(true);
        }
    }

    /// Ends the attachment being served. Unseen by its consumer, its lease is left to run out.
    pub(super) fn end_active(&mut self, seen: bool) {
        if let Some(ended) = self.active.take() {
            if seen {
                ended.lease.end();
            } else {
                self.unseen.insert(ended.attachment);
            }
            self.returns.extend(
                ended
                    .unsettled
                    .into_values()
                    .map(|stored| Stored { returns: stored.returns.saturating_add(1), ..stored }),
            );
            self.serve_next();
        }
    }

    /// Ends every attachment of a client. Unseen, the one being served is given up without its noticing.
    pub(super) fn end_client(&mut self, client: &str, seen: bool) {
        self.waiting.retain(|w| &*w.client != client);
        if self.active.as_ref().is_some_and(|a| &*a.client == client) {
            self.end_active(seen);
        }
    }

    /// Ends every attachment, those that wait first, so that none of them is served.
    pub(super) fn end_all(&mut self) {
        self.waiting.clear();
        self.end_active(true);
    }

    /// What was pushed to the consumer, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<Delivery> {
        let Some(active) = &mut self.active else { return Vec::new() };
        let count = most.min(active.pushed.len());
        let unsettled = &active.unsettled;
        active
            .pushed
            .drain(..count)
            .filter_map(|tag| unsettled.get(&tag).map(|stored| delivery(tag, stored)))
            .collect()
    }

    /// Settles what the consumer took.
    pub(super) fn settle(&mut self, tags: &[u64]) -> Result<(), UnknownTag> {
        if let Some(active) = &mut self.active {
            for tag in tags {
                let taken = !active.pushed.contains(tag);
                if !taken || active.unsettled.remove(tag).is_none() {
                    self.end_active(true);
                    return Err(UnknownTag);
                }
            }
            self.push();
        }
        Ok(())
    }

    pub(super) fn depth(&self) -> Depth {
        Depth {
            ready: self.returns.len() + self.ready.len(),
            unsettled: self.active.as_ref().map_or(0, |a| a.unsettled.len()),
        }
    }

    fn serve_next(&mut self) {
        if self.active.is_none()
            && let Some(Waiting { attachment, client, prefetch, lease }) = self.waiting.pop_front()
        {
            let (unsettled, pushed) = Default::default();
            self.active =
                Some(Active { attachment, client, prefetch, last_tag: 0, unsettled, pushed, lease });
            self.push();
        }
    }

    /// Pushes to the consumer what its prefetch has room for. As with AMQP, 0 means without bound.
    fn push(&mut self) {
        let Some(active) = &mut self.active else { return };
        while active.prefetch == 0 || active.unsettled.len() < usize::from(active.prefetch) {
            let Some(stored) = self.returns.pop_front().or_else(|| self.ready.pop_front()) else { break };
            active.last_tag += 1;
            active.unsettled.insert(active.last_tag, stored);
            active.pushed.push_back(active.last_tag);
        }
    }
}

fn delivery(tag: u64, stored: &Stored) -> Delivery {
    Delivery {
        tag,
        kind: Arc::clone(&stored.message.kind),
        body: stored.message.body.clone(),
        redelivered: stored.returns > 0,
        returns: stored.returns,
        repeat: stored.message.repeat,
        from_front_door: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(bodies: u8) -> Queue {
        let mut queue = Queue::default();
        for n in 0..bodies {
            let body = Bytes::copy_from_slice(&[n]);
            queue.publish(Message { kind: "k".into(), body, repeat: false });
        }
        queue
    }

    fn attach(queue: &mut Queue, attachment: u64, prefetch: u16) {
        queue.line_up(attachment, "test".into(), prefetch, Arc::new(Lease::forever()));
        assert_eq!(queue.standing(attachment), Standing::Active);
    }

    fn bodies(queue: &mut Queue) -> Vec<u8> {
        queue.take(100).iter().map(|d| d.body[0]).collect()
    }

    #[test]
    fn a_second_end_under_a_smaller_prefetch_breaks_the_order_as_measured() {
        let mut q = queue(10);
        for (attachment, prefetch) in [(1, 10), (2, 5)] {
            attach(&mut q, attachment, prefetch);
            q.end(attachment);
        }
        attach(&mut q, 3, 10);
        assert_eq!(bodies(&mut q), [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn with_two_settled_between_it_breaks_as_measured() {
        let mut q = queue(10);
        attach(&mut q, 1, 10);
        q.end(1);
        attach(&mut q, 2, 5);
        assert_eq!(bodies(&mut q), [0, 1, 2, 3, 4]);
        q.settle(&[1, 2]).unwrap();
        q.end(2);
        attach(&mut q, 3, 10);
        assert_eq!(bodies(&mut q), [7, 8, 9, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_tag_settled_twice_ends_the_attachment() {
        let mut q = queue(2);
        attach(&mut q, 1, 10);
        assert_eq!(bodies(&mut q), [0, 1]);
        q.settle(&[1]).unwrap();
        assert_eq!(q.settle(&[1]), Err(UnknownTag));
        assert_eq!(q.standing(1), Standing::Ended);
        assert_eq!(q.depth(), Depth { ready: 1, unsettled: 0 });
    }
}
