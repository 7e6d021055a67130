//! Which connections were woken: each has a waker of its own, which enters its place in one list and wakes the task.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The list, shared by the wakers of one client's connections. A place is in it at most once for each of its connections.
pub(crate) struct Ready {
    places: Mutex<Vec<usize>>,
    task: Mutex<Waker>,
}

impl Ready {
    pub(crate) fn new() -> Self {
        Self { places: Mutex::new(Vec::new()), task: Mutex::new(Waker::noop().clone()) }
    }

    /// Who is woken from now on.
    pub(crate) fn set_task(&self, waker: &Waker) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if !task.will_wake(waker) {
            task.clone_from(waker);
        }
    }

    /// Moves what is in the list to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<usize>) {
        into.append(&mut self.places.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn enter(&self, place: usize) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).push(place);
    }
}

/// The waker of one connection.
pub(crate) struct Mark {
    place: AtomicUsize,
    is_entered: AtomicBool,
    ready: Arc<Ready>,
}

impl Mark {
    /// Of a connection that has no place yet: nothing is entered before [`Mark::move_to`].
    pub(crate) fn new(ready: &Arc<Ready>) -> Arc<Self> {
        Arc::new(Self { place: AtomicUsize::new(0), is_entered: AtomicBool::new(true), ready: ready.clone() })
    }

    /// Its connection is at `place` from now on, and is entered there.
    pub(crate) fn move_to(&self, place: usize) {
        self.place.store(place, Ordering::Relaxed);
        self.is_entered.store(true, Ordering::Relaxed);
        self.ready.enter(place);
    }

    /// Enters the place without waking the task: for what the task itself does.
    pub(crate) fn enter(&self) {
        if !self.is_entered.swap(true, Ordering::AcqRel) {
            self.ready.enter(self.place.load(Ordering::Relaxed));
        }
    }

    /// Its place was taken out of the list.
    pub(crate) fn clear(&self) {
        self.is_entered.store(false, Ordering::Release);
    }
}

impl Wake for Mark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.enter();
        let task = self.ready.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(ready: &Ready) -> Vec<usize> {
        let mut places = Vec::new();
        ready.take(&mut places);
        places
    }

    #[test]
    fn a_place_is_entered_once_until_it_was_taken() {
        let ready = Arc::new(Ready::new());
        let mark = Mark::new(&ready);
        Waker::from(mark.clone()).wake();
        assert!(entered(&ready).is_empty(), "it has no place yet");
        mark.move_to(4);
        Waker::from(mark.clone()).wake();
        assert_eq!(entered(&ready), [4]);
        mark.clear();
        Waker::from(mark.clone()).wake_by_ref();
        mark.enter();
        assert_eq!(entered(&ready), [4]);
    }

    #[test]
    fn a_moved_connection_is_entered_at_its_new_place() {
        let ready = Arc::new(Ready::new());
        let mark = Mark::new(&ready);
        mark.move_to(4);
        mark.move_to(1);
        assert_eq!(entered(&ready), [4, 1]);
    }
}
