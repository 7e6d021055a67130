//! Waiting for a condition: polled, with a named bound, never a bare sleep.

use std::time::Duration;

const POLL_EVERY: Duration = Duration::from_millis(20);

/// What was waited for did not come true within its bound.
#[derive(Debug)]
pub struct TimedOut {
    what: String,
    limit: Option<Duration>,
}

impl TimedOut {
    /// There is no use in waiting longer: the program it would have to come from has ended.
    pub(crate) fn ended(what: &str) -> Self {
        Self { what: what.to_owned(), limit: None }
    }
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "waited {limit:?} for {} in vain", self.what),
            None => write!(f, "waited for {} in vain: the program has ended", self.what),
        }
    }
}

impl std::error::Error for TimedOut {}

/// Calls `probe` every 20 ms until it yields something; gives up after `limit`.
///
/// A probe that hangs is dropped at the limit too, so it must be cancellation safe.
///
/// # Errors
/// [`TimedOut`] with `what` in its message.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    let polling = async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    tokio::time::timeout(limit, polling)
        .await
        .map_err(|_| TimedOut { what: what.to_owned(), limit: Some(limit) })
}
