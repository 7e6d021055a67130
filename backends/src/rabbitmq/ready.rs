//! Connections that are opened, each with a channel, for queues that are about to be this sender's: nothing consumes on them before
//! they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use lapin::Channel;
use skein_core::seam::BrokerError;
use skein_producer::link::Link;
use tokio::sync::Mutex;

/// A connection with an open channel. The link is first: its socket is cut before anything polite is said.
pub(super) struct Opened {
    pub(super) link: Link,
    pub(super) channel: Channel,
}

/// A connection, once it is open, until somebody takes it. Locked while it is being opened.
type Place = Arc<Mutex<Option<Opened>>>;

/// What is ready, by queue: at most one for each that comes.
#[derive(Default)]
pub(super) struct Ready {
    places: SyncMutex<HashMap<String, (ThreadId, Place)>>,
}

impl Ready {
    /// Opens a connection and keeps it for as long as this is polled, or until it is taken. Ends if it can't be opened.
    pub(super) async fn keep(&self, queue: &str, opening: impl Future<Output = Result<Opened, BrokerError>>) {
        let place = Place::default();
        let mut open = place.lock().await;
        self.places().insert(queue.to_owned(), (std::thread::current().id(), Arc::clone(&place)));
        let kept = Kept { ready: self, queue, place: &place };
        match opening.await {
            Ok(opened) => *open = Some(opened),
            Err(error) => {
                tracing::debug!(%queue, %error, "nothing is made ready; its owner will begin at the beginning");
                return;
            }
        }
        drop(open);
        std::future::pending::<()>().await;
        drop(kept);
    }

    /// What is ready for a queue and stands, waiting for it if it is being made so. A connection lives on the runtime that opened
    /// it, so it is the same thread's alone.
    pub(super) async fn take(&self, queue: &str) -> Option<Opened> {
        let here = std::thread::current().id();
        let place =
            self.places().get(queue).filter(|(thread, _)| *thread == here).map(|(_, p)| Arc::clone(p))?;
        let opened = place.lock().await.take()?;
        let stands = opened.link.connection().status().connected() && opened.channel.status().connected();
        stands.then_some(opened)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, (ThreadId, Place)>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the place up.
struct Kept<'a> {
    ready: &'a Ready,
    queue: &'a str,
    place: &'a Place,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        let mut places = self.ready.places();
        if places.get(self.queue).is_some_and(|(_, place)| Arc::ptr_eq(place, self.place)) {
            places.remove(self.queue);
        }
    }
}
