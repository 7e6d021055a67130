//! Requests for broadcasts and their channels: decided and answered.

use std::sync::atomic::Ordering::Relaxed;

use super::answers::Decision;
use super::journal::Change;
use super::{Connection, Role, writer};
use crate::broadcast::{BroadcastHead, Reply, Route};
use crate::faults::Fate;
use crate::request::Head;

impl Role {
    /// Whether a connection to this port may ask for that.
    pub(super) fn serves(self, broadcast: Option<&BroadcastHead>) -> bool {
        let is_management = broadcast.map(|head| head.route).is_some_and(Route::is_management);
        match self {
            Self::Everything => true,
            Self::Pushes => !is_management,
            Self::Management => is_management,
        }
    }
}

impl Connection {
    pub(super) fn decide_broadcast(
        &self,
        head: &Head,
        broadcast: &BroadcastHead,
        id: u128,
        body: &[u8],
        attempt: u32,
    ) -> Decision {
        if let Some(reason) = head.faults.first() {
            return Decision::Broadcast(Box::new(reason.into()));
        }
        match self.faults.fate(id, attempt) {
            Fate::Refuse(reason) if reason.is_transient() => Decision::Broadcast(Box::new(reason.into())),
            Fate::RefuseStream => Decision::RefuseStream,
            Fate::Silence => Decision::Silence,
            Fate::Odd => Decision::Odd(self.faults.oddity(id, attempt)),
            Fate::Pass | Fate::Refuse(_) => {
                let (channels, new_id) = (&self.shared.channels, self.shared.new_id());
                Decision::Broadcast(Box::new(channels.handle(
                    broadcast,
                    head.method,
                    body,
                    self.now_ms,
                    new_id,
                )))
            }
        }
    }

    pub(super) fn emit_broadcast(&mut self, stream: u32, row: u32, id: u128, reply: Reply) {
        let stats = &self.shared.stats;
        match reply.reason {
            Some(reason) => stats.of(reason),
            None => &stats.broadcasts,
        }
        .fetch_add(1, Relaxed);
        let unique_id = reply.is_published.then(|| self.shared.new_id());
        writer::broadcast_headers(stream, id, unique_id, &reply, &mut self.answers.out);
        self.journal.change(row, Change::Answered(reply.status, reply.reason));
        if reply.body.is_none_or(|body| self.answers.body(stream, row, body.into_bytes())) {
            self.journal.is_queued(row, self.answers.end());
        }
    }
}
