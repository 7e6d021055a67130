//! Whose connections are to be closed: former owners that may be frozen and not know. Level-based: what is still open is closed
//! again, until it is gone or the time is over.

use std::time::Duration;

use skein_core::QueueName;
use skein_core::fleet::Owner;
use skein_core::lease::BootMillis;

use crate::connections::Connections;

/// How long a former owner is looked after. A thawed one finds out by itself.
const KEPT: Duration = Duration::from_secs(300);
/// The most at once.
const KICKS_MAX: usize = 4096;
/// How often one connection is tried: the management API does not know a young one for some seconds.
const AGAIN: Duration = Duration::from_millis(500);

/// Former owners, each with the queue that was taken from it.
#[derive(Debug, Default)]
pub struct Kicks {
    former: Vec<Former>,
}

#[derive(Debug)]
struct Former {
    owner: Owner,
    queue: QueueName,
    since: BootMillis,
    tried: Option<BootMillis>,
}

/// A connection to close now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kick {
    /// Whose it is.
    pub owner: Owner,
    /// To which queue.
    pub queue: QueueName,
    /// The broker's name of it.
    pub connection: String,
}

impl Kicks {
    /// A queue was taken from an owner that did not release it. To be said only once that is written.
    pub fn taken(&mut self, owner: Owner, queue: QueueName, at: BootMillis) {
        self.former.retain(|former| !(former.owner == owner && former.queue == queue));
        if self.former.len() < KICKS_MAX {
            self.former.push(Former { owner, queue, since: at, tried: None });
        }
    }

    /// What is open of them and due. `owns` says who owns a queue now: who has it again is left alone.
    pub fn due(
        &mut self,
        connections: &Connections,
        owns: impl Fn(&Owner, &QueueName) -> bool,
        now: BootMillis,
    ) -> Vec<Kick> {
        self.former.retain(|former| now.since(former.since) < KEPT && !owns(&former.owner, &former.queue));
        let mut due = Vec::new();
        for former in &mut self.former {
            if former.tried.is_some_and(|tried| now.since(tried) < AGAIN) {
                continue;
            }
            let open = connections.to_queue(&former.owner, &former.queue);
            if !open.is_empty() {
                former.tried = Some(now);
            }
            let kick =
                |connection| Kick { owner: former.owner.clone(), queue: former.queue.clone(), connection };
            due.extend(open.into_iter().map(kick));
        }
        due
    }

    /// When something becomes due by time alone.
    pub fn wake(&self, connections: &Connections) -> Option<BootMillis> {
        let open = |former: &&Former| !connections.to_queue(&former.owner, &former.queue).is_empty();
        self.former.iter().filter(open).filter_map(|former| former.tried).map(|tried| tried.plus(AGAIN)).min()
    }
}
