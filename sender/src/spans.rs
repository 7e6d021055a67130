//! What a sender tells the producers' tracing: of each notification whose trace is sampled, one span for its stay here and one for
//! each write to APNs.

use std::fmt;
use std::time::Duration;

use skein_core::answer::{Answer, Evidence};
use skein_core::fact::Cause;
use skein_core::seam::Clock;
use skein_core::{FinalVerdict, NotificationId, PoolName, Timestamp, TraceContext};

use crate::main_path::PoolShard;
use crate::work::Item;

/// Where ended spans go. Called on the main path: an implementation never blocks, and drops what it can't take.
pub trait Spans: fmt::Debug + Send + Sync {
    /// A span has ended.
    fn ended(&self, span: Span);
}

/// A span that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace, and the span that caused this one.
    pub context: TraceContext,
    /// Its own id.
    pub id: [u8; 8],
    /// What it covers.
    pub kind: SpanKind,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The notification.
    pub notification: NotificationId,
    /// The pool.
    pub pool: PoolName,
    /// APNs' word or ours: the reason of an answer, why it was not sent, or why it is in doubt. Empty where all is well.
    pub cause: Cause,
}

/// What a span covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanKind {
    /// A notification's stay in this sender, from take to its final verdict.
    Push {
        /// The verdict.
        verdict: FinalVerdict,
        /// How often it was tried.
        attempts: u16,
        /// The queue's number.
        queue: u16,
    },
    /// One write to APNs and its answer.
    Write {
        /// APNs' HTTP status; 0 where there was no answer.
        status: u16,
        /// The HTTP/2 stream; 0 where there was none.
        stream: u32,
    },
}

impl<C: Clock> PoolShard<C> {
    /// APNs answered, or it was not sent or is in doubt.
    pub(crate) fn written(&self, item: &Item, answer: &Answer, evidence: &Evidence, now: Timestamp) {
        let (Some(spans), Some(trace)) = (&self.options.spans, sampled(item)) else { return };
        let (cause, status) = crate::facts::words(answer);
        spans.ended(Span {
            context: TraceContext { parent: stay(item), ..trace },
            id: random(),
            kind: SpanKind::Write { status, stream: evidence.stream },
            ended: now,
            took: Duration::from_micros(u64::from(evidence.duration_us)),
            notification: item.notification.id,
            pool: self.pool.name.clone(),
            cause,
        });
    }

    /// Its verdict is final.
    pub(crate) fn concluded(&self, item: &Item, verdict: FinalVerdict, cause: &Cause, now: Timestamp) {
        let (Some(spans), Some(context)) = (&self.options.spans, sampled(item)) else { return };
        spans.ended(Span {
            context,
            id: stay(item),
            kind: SpanKind::Push {
                verdict,
                attempts: item.attempts.total(),
                queue: item.delivery.attachment.queue.number,
            },
            ended: now,
            took: self.clock.boot().since(item.taken_at),
            notification: item.notification.id,
            pool: self.pool.name.clone(),
            cause: cause.clone(),
        });
    }
}

fn sampled(item: &Item) -> Option<TraceContext> {
    item.notification.content.trace.filter(|trace| trace.is_sampled)
}

/// The id of a notification's stay, which its writes name before it has ended: the random half of its own id, apart by
/// generation. Never all zero: a UUID's variant stands in it.
fn stay(item: &Item) -> [u8; 8] {
    let id = item.notification.id.as_uuid().as_u64_pair().1;
    (id ^ u64::from(item.notification.generation)).to_be_bytes()
}

fn random() -> [u8; 8] {
    uuid::Uuid::new_v4().as_u64_pair().1.to_be_bytes()
}
