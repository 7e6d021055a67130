//! The memory of keys in this process: bounded in time, keys and ids; gone with the process.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use skein_core::NotificationId;
use skein_core::lease::BootMillis;
use tokio::sync::watch;

use super::{Begin, BodyHash, Boxed, End, IdempotencyStore, KeyHash, Remembered};

/// Most ids remembered over all keys: 16 bytes each, so at most 64 MB.
const IDS_MAX: usize = 4_000_000;
/// Most places in the order, beyond twice the keys, that belong to keys made free again.
const STALE_MAX: usize = 64;

/// Remembers keys in this process. The oldest goes first when there are too many; one that is under way never goes.
#[derive(Debug)]
pub struct MemoryStore {
    keep: Duration,
    keys_max: usize,
    ids_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<KeyHash, Entry>,
    /// Oldest first, each with its entry's number: an entry made anew under the same key has another.
    order: VecDeque<(KeyHash, u64)>,
    next: u64,
    ids: usize,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    body: BodyHash,
    at: BootMillis,
    state: Progress,
}

#[derive(Debug)]
enum Progress {
    /// Dropped when it ends, which wakes those who wait.
    UnderWay(watch::Sender<()>),
    Open(Remembered),
    Answered(Box<[NotificationId]>),
}

impl Progress {
    fn ids(&self) -> usize {
        match self {
            Self::UnderWay(_) => 0,
            Self::Open(remembered) => remembered.ids.len(),
            Self::Answered(ids) => ids.len(),
        }
    }
}

enum Step {
    Begun(Begin),
    Wait(watch::Receiver<()>),
}

impl MemoryStore {
    /// Remembers each key for `keep`, at most `keys_max` of them.
    #[must_use]
    pub fn new(keep: Duration, keys_max: usize) -> Self {
        Self { keep, keys_max: keys_max.max(1), ids_max: IDS_MAX, state: Mutex::default() }
    }

    fn step(&self, key: KeyHash, body: BodyHash, now: BootMillis) -> Step {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_old(self, now);
        let Some(entry) = state.entries.get_mut(&key) else {
            state.insert(key, body, now);
            state.make_room(self);
            return Step::Begun(Begin::Go(None));
        };
        if entry.body != body {
            return Step::Begun(Begin::Conflict);
        }
        match &entry.state {
            Progress::UnderWay(done) => Step::Wait(done.subscribe()),
            Progress::Answered(ids) => Step::Begun(Begin::Answered(ids.clone())),
            Progress::Open(_) => {
                let under_way = Progress::UnderWay(watch::Sender::new(()));
                let Progress::Open(remembered) = std::mem::replace(&mut entry.state, under_way) else {
                    return Step::Begun(Begin::Go(None));
                };
                state.ids -= remembered.ids.len();
                Step::Begun(Begin::Go(Some(remembered)))
            }
        }
    }

    fn finish(&self, key: KeyHash, end: End) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = match end {
            End::Forget => {
                state.entries.remove(&key);
                return;
            }
            End::Answered(ids) => Progress::Answered(ids),
            End::Open(remembered) => Progress::Open(remembered),
        };
        let ids = progress.ids();
        if let Some(entry) = state.entries.get_mut(&key) {
            entry.state = progress;
            state.ids += ids;
            state.make_room(self);
        }
    }
}

impl State {
    fn insert(&mut self, key: KeyHash, body: BodyHash, at: BootMillis) {
        self.next += 1;
        let state = Progress::UnderWay(watch::Sender::new(()));
        self.entries.insert(key, Entry { number: self.next, body, at, state });
        self.order.push_back((key, self.next));
        if self.order.len() > 2 * self.entries.len() + STALE_MAX {
            let entries = &self.entries;
            self.order.retain(|(key, number)| entries.get(key).is_some_and(|e| e.number == *number));
        }
    }

    fn forget_old(&mut self, bounds: &MemoryStore, now: BootMillis) {
        while let Some((key, number)) = self.order.front() {
            let old = match self.entries.get(key).filter(|e| e.number == *number) {
                None => true,
                Some(entry) => {
                    now.since(entry.at) >= bounds.keep && !matches!(entry.state, Progress::UnderWay(_))
                }
            };
            if !old {
                return;
            }
            self.forget_front();
        }
    }

    /// Forgets the oldest until the bounds hold; those under way keep their place.
    fn make_room(&mut self, bounds: &MemoryStore) {
        let mut tries = self.order.len();
        while tries > 0 && (self.entries.len() > bounds.keys_max || self.ids > bounds.ids_max) {
            tries -= 1;
            let Some((key, number)) = self.order.front().copied() else { return };
            let entry = self.entries.get(&key).filter(|e| e.number == number);
            if entry.is_some_and(|e| matches!(e.state, Progress::UnderWay(_))) {
                self.order.rotate_left(1);
            } else {
                self.forget_front();
            }
        }
    }

    fn forget_front(&mut self) {
        let Some((key, number)) = self.order.pop_front() else { return };
        if self.entries.get(&key).is_some_and(|e| e.number == number)
            && let Some(entry) = self.entries.remove(&key)
        {
            self.ids -= entry.state.ids();
        }
    }
}

impl IdempotencyStore for MemoryStore {
    fn begin(&self, key: KeyHash, body: BodyHash, now: BootMillis) -> Boxed<'_, Begin> {
        Box::pin(async move {
            loop {
                match self.step(key, body, now) {
                    Step::Begun(begin) => return begin,
                    Step::Wait(mut done) => while done.changed().await.is_ok() {},
                }
            }
        })
    }

    fn end(&self, key: KeyHash, end: End) -> Boxed<'_, ()> {
        self.finish(key, end);
        Box::pin(std::future::ready(()))
    }

    fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: BodyHash = BodyHash([1; 16]);

    fn ids(n: usize) -> Box<[NotificationId]> {
        (0..n).map(|_| NotificationId::now()).collect()
    }

    fn key(n: u8) -> KeyHash {
        KeyHash([n; 16])
    }

    async fn begin(store: &MemoryStore, n: u8, at: u64) -> Begin {
        store.begin(key(n), BODY, BootMillis(at)).await
    }

    #[tokio::test]
    async fn answers_the_same_and_refuses_another() {
        let store = MemoryStore::new(Duration::from_secs(1), 10);
        assert_eq!(begin(&store, 1, 0).await, Begin::Go(None));
        let answer = ids(2);
        store.end(key(1), End::Answered(answer.clone())).await;
        assert_eq!(begin(&store, 1, 999).await, Begin::Answered(answer));
        assert_eq!(store.begin(key(1), BodyHash([2; 16]), BootMillis(999)).await, Begin::Conflict);
        assert_eq!(begin(&store, 1, 1000).await, Begin::Go(None), "after the time it is new");
    }

    #[tokio::test]
    async fn goes_on_under_the_same_ids() {
        let store = MemoryStore::new(Duration::from_secs(1), 10);
        begin(&store, 1, 0).await;
        let open = Remembered { ids: ids(2), accepted: [true, false].into() };
        store.end(key(1), End::Open(open.clone())).await;
        assert_eq!(begin(&store, 1, 1).await, Begin::Go(Some(open)));
        store.end(key(1), End::Forget).await;
        assert_eq!(begin(&store, 1, 1).await, Begin::Go(None));
    }

    #[tokio::test]
    async fn one_waits_for_the_other() {
        let store = MemoryStore::new(Duration::from_secs(1), 10);
        begin(&store, 1, 0).await;
        let answer = ids(1);
        let second = begin(&store, 1, 0);
        let end = async {
            tokio::task::yield_now().await;
            store.end(key(1), End::Answered(answer.clone())).await;
        };
        let (second, ()) = tokio::join!(second, end);
        assert_eq!(second, Begin::Answered(answer));
    }

    /// P8: bounded in keys and in ids, whatever is under way.
    #[tokio::test]
    async fn is_bounded() {
        let mut store = MemoryStore::new(Duration::from_secs(1), 3);
        begin(&store, 0, 0).await;
        for n in 1..10 {
            begin(&store, n, 0).await;
            store.end(key(n), End::Answered(ids(1))).await;
            assert!(store.len() <= 4, "{} keys", store.len());
        }
        assert!(matches!(begin(&store, 9, 0).await, Begin::Answered(_)), "the newest stays");
        assert!(matches!(begin(&store, 1, 0).await, Begin::Go(None)), "the oldest went");
        store.end(key(0), End::Answered(ids(1))).await;
        assert!(matches!(begin(&store, 0, 0).await, Begin::Answered(_)), "what was under way stayed");

        for _ in 0..1000 {
            begin(&store, 200, 0).await;
            store.end(key(200), End::Forget).await;
        }
        assert!(store.state.lock().unwrap().order.len() <= 2 * 4 + STALE_MAX);

        store = MemoryStore { ids_max: 10, ..MemoryStore::new(Duration::from_secs(1), 100) };
        for n in 1..10 {
            begin(&store, n, 0).await;
            store.end(key(n), End::Answered(ids(4))).await;
        }
        assert_eq!(store.len(), 2);
        assert_eq!(store.state.lock().unwrap().ids, 8);
        assert!(store.state.lock().unwrap().order.len() <= 2);
    }
}
