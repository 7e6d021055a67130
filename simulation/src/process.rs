//! A process in the simulation: all tasks of one life of a sender. Frozen, none of them runs; killed, all are dropped wherever
//! they wait.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::task::LocalSet;

/// A handle on a process.
#[derive(Clone)]
pub struct Process {
    inner: Rc<Inner>,
}

struct Inner {
    tasks: RefCell<Option<LocalSet>>,
    waker: RefCell<Option<Waker>>,
    frozen: Cell<bool>,
    /// It is to freeze between the look at the gate and the next flush.
    freeze_at_flush: Cell<bool>,
    /// It dies when it has been polled so often.
    polls_left: Cell<Option<u32>>,
    ended: Cell<bool>,
    changed: Notify,
}

impl Process {
    /// Starts a process that consists of these tasks.
    pub fn start(tasks: LocalSet) -> Self {
        let inner = Rc::new(Inner {
            tasks: RefCell::new(Some(tasks)),
            waker: RefCell::new(None),
            frozen: Cell::new(false),
            freeze_at_flush: Cell::new(false),
            polls_left: Cell::new(None),
            ended: Cell::new(false),
            changed: Notify::new(),
        });
        tokio::task::spawn_local(Running { inner: Rc::clone(&inner) });
        Self { inner }
    }

    /// As `SIGSTOP`.
    pub fn freeze(&self) {
        self.inner.frozen.set(true);
    }

    /// Freezes before its next flush to APNs, after the gate was looked at.
    pub fn freeze_at_flush(&self) {
        self.inner.freeze_at_flush.set(true);
    }

    /// Asked by the transport before it flushes; freezes if that was ordered, and says so.
    pub fn freezes_now(&self) -> bool {
        let freezes = self.inner.freeze_at_flush.take();
        if freezes {
            self.freeze();
        }
        freezes
    }

    /// As `SIGCONT`.
    pub fn thaw(&self) {
        self.inner.freeze_at_flush.set(false);
        self.inner.frozen.set(false);
        self.inner.changed.notify_waiters();
        self.wake();
    }

    /// Waits until it is thawed: for one of its own tasks, which runs only then.
    pub async fn thawed(&self) {
        while self.inner.frozen.get() {
            self.inner.changed.notified().await;
        }
    }

    /// Whether it is frozen.
    pub fn is_frozen(&self) -> bool {
        self.inner.frozen.get()
    }

    /// Whether it has ended, by itself or killed.
    pub fn has_ended(&self) -> bool {
        self.inner.ended.get()
    }

    /// Dies after it was polled so often from now on: between any two steps, not only where time passes.
    pub fn kill_after(&self, polls: u32) {
        self.inner.polls_left.set(Some(polls));
        self.wake();
    }

    /// As `SIGKILL`: drops all tasks where they wait.
    pub fn kill(&self) {
        self.inner.kill();
        self.wake();
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        loop {
            let changed = self.inner.changed.notified();
            if self.inner.ended.get() {
                return;
            }
            changed.await;
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.inner.waker.take() {
            waker.wake();
        }
    }
}

impl Inner {
    fn kill(&self) {
        let tasks = self.tasks.take();
        self.ended.set(true);
        drop(tasks);
        self.changed.notify_waiters();
    }
}

struct Running {
    inner: Rc<Inner>,
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let inner = &self.inner;
        if inner.ended.get() {
            return Poll::Ready(());
        }
        inner.waker.replace(Some(cx.waker().clone()));
        if inner.frozen.get() {
            return Poll::Pending;
        }
        if let Some(left) = inner.polls_left.get() {
            inner.polls_left.set(left.checked_sub(1));
            if left == 0 {
                inner.kill();
                return Poll::Ready(());
            }
        }
        let mut tasks = inner.tasks.borrow_mut();
        let Some(set) = tasks.as_mut() else { return Poll::Ready(()) };
        let polled = Pin::new(set).poll(cx);
        if polled.is_ready() {
            drop(tasks);
            inner.kill();
        }
        polled
    }
}
