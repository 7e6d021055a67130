//! The transport seam: writing to APNs.

use std::sync::Arc;

use bytes::Bytes;

use crate::answer::{Answer, Evidence};
use crate::id::NotificationId;
use crate::notification::Content;
use crate::token::DeviceToken;

/// Writes notifications of one pool from one shard. Lives on its shard's thread.
pub trait Transport: 'static {
    /// How many writes it takes now. 0 while it has no usable connection: what is not handed over waits in its lane, where it
    /// can still expire or be superseded.
    fn room(&self) -> usize;

    /// What may be open at once, from here on. Nothing that is open beyond it is cut. Called often with the same.
    fn resize(&mut self, _windows: Windows) {}

    /// Hands a write over, to be flushed at once. Each ends in exactly one [`Answered`]. The caller keeps to [`Transport::room`].
    fn write(&mut self, write: Write);

    /// Waits until there are answers or room has grown, and appends the answers.
    ///
    /// Cancellation safe: answers not appended are appended next time.
    fn progress(&mut self, answers: &mut Vec<Answered>) -> impl Future<Output = ()>;

    /// Whether its credential covers the topic, as far as that says. APNs answers a topic that it does not cover with a refusal
    /// that speaks about the whole credential, so that such a notification is not to be written.
    fn covers(&self, _content: &Content) -> bool {
        true
    }

    /// What keeps it from writing, if anything does.
    fn trouble(&self) -> Option<Trouble>;
}

/// What may be open at APNs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Connections.
    pub connections_max: usize,
    /// Notifications written and not answered, over all of them.
    pub in_flight_max: usize,
}

/// What keeps a transport from writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whose matter it is.
    pub class: TroubleClass,
    /// In one line, for log and health page.
    pub why: String,
}

/// Who can do something about a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TroubleClass {
    /// There is no credential to connect with; who keeps it has said why.
    NoCredential,
    /// APNs refuses the credential when connecting: as a refused reply does, it pauses the pool until a person has looked.
    Credential,
    /// The server's certificate does not lead to a trusted root: a person must look.
    Chain,
    /// Names, routes, proxies, servers that don't answer: it is tried again.
    Network,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    /// The caller's own number, given back with the answer.
    pub key: u64,
    /// `apns-id`.
    pub id: NotificationId,
    /// Whose it is.
    pub token: DeviceToken,
    /// Its headers.
    pub content: Arc<Content>,
    /// The payload as it is sent: the content's own, or with its badge inserted.
    pub payload: Bytes,
}

/// The end of one write.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The caller's own number.
    pub key: u64,
    /// What came back.
    pub answer: Answer,
    /// Where and how.
    pub evidence: Evidence,
}
