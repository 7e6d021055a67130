//! How long somebody else's answer is waited for: in this process's own running time.

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// A process that stood still in between has lost one of so many parts of its patience.
const PARTS: u32 = 5;

/// Waits for an answer; `None` if there is none in time. A stopped process or a suspended host proves nothing against whoever was to
/// answer: what came meanwhile is still to be read, and what follows it still to be asked. Cancelled, so is `answer`.
pub(crate) async fn within<T>(limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
    let mut answer = pin!(answer);
    for _ in 0..PARTS {
        if let Ok(answer) = timeout(limit / PARTS, &mut answer).await {
            return Some(answer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::time::{Instant, advance, sleep};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn who_stood_still_goes_on_waiting() {
        let (tell, told) = oneshot::channel();
        let waiting = tokio::spawn(within(LIMIT, told));
        tokio::task::yield_now().await;
        advance(LIMIT * 2).await;
        sleep(Duration::from_millis(10)).await;
        tell.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Some(Ok(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_silence() {
        let began = Instant::now();
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
        assert!((LIMIT..LIMIT * 2).contains(&began.elapsed()), "P8: {:?}", began.elapsed());
    }
}
