//! The handle that an IM backend holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skein_core::seam::{Confirmation, Submit, SubmitError};
use skein_core::{Notification, NotificationId, PoolName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc, oneshot, watch};

use crate::envelope::Envelope;
use crate::options::{ProducerOptions, Wait};
use crate::parcels::{BLOCKED, Parcel, Way};
use crate::plan::{Group, plan};
use crate::session::{Outlook, Session};

const WINDOW_FULL: &str = "the window of notifications under way is full";

/// The widest window that can be set.
const WINDOW_MAX: usize = 100_000;

/// Submits notifications over one connection to RabbitMQ. Clones share it; when the last one is dropped, what is under way is
/// brought to its end, and the connection goes.
///
/// A [`Confirmation`] promises: the notification is stored durably, on a majority of the broker's nodes, and will end in
/// exactly one final verdict. Those of one device token that are submitted one after the other, by this producer, are sent in
/// that order: at most one of a token is published and not confirmed at a time.
#[derive(Clone)]
pub struct Producer {
    options: Arc<ProducerOptions>,
    exchanges: Arc<[(PoolName, Arc<str>)]>,
    window: Arc<Semaphore>,
    outgoing: mpsc::Sender<Parcel>,
    outlook: watch::Receiver<Outlook>,
}

/// A notification that was taken; its outcome is still to come.
#[must_use = "without its outcome nobody knows whether it was accepted"]
pub struct Taken {
    id: NotificationId,
    outcome: oneshot::Receiver<Result<(), SubmitError>>,
}

impl Taken {
    /// Its id.
    pub fn id(&self) -> NotificationId {
        self.id
    }

    /// Waits for the outcome, at most [`ProducerOptions::outcome_limit`] after it is published.
    ///
    /// # Errors
    /// [`SubmitError`]: it is not accepted, or nobody knows.
    pub async fn outcome(self) -> Result<Confirmation, SubmitError> {
        let outcome = self.outcome.await.unwrap_or(Err(SubmitError::Unknown));
        outcome.map(|()| Confirmation { id: self.id })
    }
}

impl Producer {
    /// Begins to connect, in the background and again and again, and returns at once.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect(options: ProducerOptions) -> Self {
        let options = Arc::new(options);
        let window = options.window.clamp(1, WINDOW_MAX);
        let (outgoing, incoming) = mpsc::channel(window);
        let (shown, outlook) = watch::channel(Outlook { way: Way::Away, trouble: None });
        let session = Session::new(Arc::clone(&options), incoming, shown);
        tokio::spawn(session.run());
        Self {
            exchanges: options.pools.iter().map(|p| (p.clone(), p.exchange().into())).collect(),
            window: Arc::new(Semaphore::new(window)),
            outgoing,
            outlook,
            options,
        }
    }

    /// Waits until it is connected.
    ///
    /// # Errors
    /// [`SubmitError::Away`] after `limit`; [`Producer::trouble`] says why.
    pub async fn ready(&self, limit: Duration) -> Result<(), SubmitError> {
        let mut outlook = self.outlook.clone();
        let connected = outlook.wait_for(|o| o.way != Way::Away);
        match tokio::time::timeout(limit, connected).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(SubmitError::Away { waited: limit }),
        }
    }

    /// What keeps it from publishing, if anything does: for a health page.
    pub fn trouble(&self) -> Option<String> {
        let outlook = self.outlook.borrow();
        match (outlook.way, &outlook.trouble) {
            (_, Some(trouble)) => Some(trouble.clone()),
            (Way::Away, None) => Some("not connected yet".to_owned()),
            _ => None,
        }
    }

    /// How many messages are taken and without an outcome.
    pub fn under_way(&self) -> usize {
        self.options.window.saturating_sub(self.window.available_permits())
    }

    /// Submits one and waits for its outcome, as [`ProducerOptions::wait`] says.
    ///
    /// Not cancellation safe: dropped, it may or may not be accepted.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(
        &self,
        pool: &PoolName,
        notification: Notification,
    ) -> Result<Confirmation, SubmitError> {
        let outcomes = self.submit_many(pool, vec![notification], self.options.wait).await;
        outcomes.into_iter().next().unwrap_or(Err(SubmitError::Unknown))
    }

    /// Takes one without waiting: what cannot be published now is refused at once, for the caller to slow down.
    ///
    /// # Errors
    /// [`SubmitError::BackPressure`] if the window is full or the broker blocks, [`SubmitError::Away`] if there is no connection.
    pub fn try_submit(&self, pool: &PoolName, notification: Notification) -> Result<Taken, SubmitError> {
        let exchange = self.exchange(pool)?;
        self.passable()?;
        let id = notification.id;
        let group = plan(vec![notification]).swap_remove(0);
        let envelope = Envelope::seal(exchange, &group).map_err(SubmitError::Invalid)?;
        let permit = Arc::clone(&self.window).try_acquire_owned().map_err(|e| match e {
            TryAcquireError::NoPermits => SubmitError::BackPressure(WINDOW_FULL),
            TryAcquireError::Closed => SubmitError::Unknown,
        })?;
        Ok(Taken { id, outcome: self.send(envelope, Wait::No, false, permit) })
    }

    /// Submits many and waits for every outcome; they come in the order given. Those that share their content go out as one
    /// message for all their devices, at most 1,000 devices or 96 KiB each. `wait` holds for each message.
    ///
    /// Not cancellation safe: dropped, what was under way may or may not be accepted.
    pub async fn submit_many(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
        wait: Wait,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit_groups(pool, notifications, wait, false).await
    }

    /// The same for notifications that were submitted before, by this process or one that has died, and whose outcome was not
    /// learnt: marked, so that none is sent a second time without need.
    pub async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
        wait: Wait,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit_groups(pool, notifications, wait, true).await
    }

    async fn submit_groups(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
        wait: Wait,
        repeat: bool,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        let mut outcomes: Vec<Result<Confirmation, SubmitError>> =
            notifications.iter().map(|n| Ok(Confirmation { id: n.id })).collect();
        let exchange = match self.exchange(pool) {
            Ok(exchange) => exchange,
            Err(error) => return outcomes.iter().map(|_| Err(error.clone())).collect(),
        };
        let began = Instant::now();
        let mut taken = Vec::new();
        for group in plan(notifications) {
            match self.take(&exchange, &group, wait, repeat, began).await {
                Ok(outcome) => taken.push((group.places, outcome)),
                Err(error) => mark(&mut outcomes, &group.places, &error),
            }
        }
        for (places, outcome) in taken {
            if let Err(error) = outcome.await.unwrap_or(Err(SubmitError::Unknown)) {
                mark(&mut outcomes, &places, &error);
            }
        }
        outcomes
    }

    async fn take(
        &self,
        exchange: &Arc<str>,
        group: &Group,
        wait: Wait,
        repeat: bool,
        began: Instant,
    ) -> Result<oneshot::Receiver<Result<(), SubmitError>>, SubmitError> {
        let permit = self.permit(wait, began).await?;
        let envelope = Envelope::seal(Arc::clone(exchange), group).map_err(SubmitError::Invalid)?;
        Ok(self.send(envelope, wait, repeat, permit))
    }

    async fn permit(&self, wait: Wait, began: Instant) -> Result<OwnedSemaphorePermit, SubmitError> {
        let window = Arc::clone(&self.window);
        let full = SubmitError::BackPressure(WINDOW_FULL);
        match wait {
            Wait::No => {
                self.passable()?;
                window.try_acquire_owned().map_err(|_| full)
            }
            Wait::For(limit) => {
                let left = limit.saturating_sub(began.elapsed());
                match tokio::time::timeout(left, window.acquire_owned()).await {
                    Ok(permit) => permit.map_err(|_| full),
                    Err(_) => {
                        self.passable().map_err(|e| match e {
                            SubmitError::Away { .. } => SubmitError::Away { waited: limit },
                            other => other,
                        })?;
                        Err(full)
                    }
                }
            }
            Wait::Forever => window.acquire_owned().await.map_err(|_| full),
        }
    }

    /// Whether something can be published now.
    fn passable(&self) -> Result<(), SubmitError> {
        match self.outlook.borrow().way {
            Way::Open => Ok(()),
            Way::Blocked => Err(SubmitError::BackPressure(BLOCKED)),
            Way::Away => Err(SubmitError::Away { waited: Duration::ZERO }),
        }
    }

    fn exchange(&self, pool: &PoolName) -> Result<Arc<str>, SubmitError> {
        let known = self.exchanges.iter().find(|(name, _)| name == pool);
        known.map(|(_, e)| Arc::clone(e)).ok_or_else(|| SubmitError::UnknownPool(pool.to_string()))
    }

    fn send(
        &self,
        envelope: Envelope,
        wait: Wait,
        repeat: bool,
        permit: OwnedSemaphorePermit,
    ) -> oneshot::Receiver<Result<(), SubmitError>> {
        let (reply, outcome) = oneshot::channel();
        // Never full: each parcel holds one of as many permits. If the task is gone (its runtime ends), the outcome is unknown.
        let _ = self.outgoing.try_send(Parcel::new(envelope, wait, repeat, reply, permit));
        outcome
    }
}

impl Submit for Producer {
    async fn submit(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        self.submit_many(pool, notifications, self.options.wait).await
    }

    async fn submit_again(
        &self,
        pool: &PoolName,
        notifications: Vec<Notification>,
    ) -> Vec<Result<Confirmation, SubmitError>> {
        Producer::submit_again(self, pool, notifications, self.options.wait).await
    }
}

fn mark(outcomes: &mut [Result<Confirmation, SubmitError>], places: &[u32], error: &SubmitError) {
    for place in places {
        if let Some(outcome) = outcomes.get_mut(*place as usize) {
            *outcome = Err(error.clone());
        }
    }
}
