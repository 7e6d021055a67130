//! What every implementation of a seam must do, as suites: generic functions over a small harness, run by each
//! implementation's tests, in memory and real. Here they run against the versions in memory, and against doubles that
//! each break one promise, which they must refuse.
//!
//! A suite's `all` runs every promise and names the first that is broken; `each` gives the outcome of every one. Both end a
//! promise after [`PATIENCE`]: what waits for ever is broken.

use std::fmt::Debug;
use std::time::Duration;

pub mod broker;
pub mod coordinator;
pub mod fleet;
pub mod ledger;
pub mod submit;

/// Whether a promise is kept; if not, what was seen instead.
pub type Outcome = Result<(), String>;

/// How long a promise may take before it counts as broken. Far beyond what any takes on a real server.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a promise that does not end by itself.
async fn within_patience(promise: impl Future<Output = Outcome>) -> Outcome {
    let waited = || Err(format!("nothing within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, promise).await.unwrap_or_else(|_| waited())
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn same<T: PartialEq + Debug>(what: &str, seen: T, promised: T) -> Outcome {
    require(seen == promised, || format!("{what}: {seen:?} instead of {promised:?}"))
}

fn works<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {e:?}"))
}

/// Whether a future is ready when polled now.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Writes `each`, `all` and the names of a suite.
macro_rules! suite {
    ($harness:ident: $($promise:ident),+ $(,)?) => {
        /// Every promise of this suite, by name.
        pub const PROMISES: &[&str] = &[$(stringify!($promise)),+];

        /// Tries every promise; its outcome by its name.
        pub async fn each<H: $harness>(harness: &H) -> Vec<(&'static str, super::Outcome)> {
            vec![$((stringify!($promise), Box::pin(super::within_patience($promise(harness))).await)),+]
        }

        /// Tries every promise.
        ///
        /// # Errors
        /// The name of the first that is broken, and what was seen.
        pub async fn all<H: $harness>(harness: &H) -> super::Outcome {
            $(
                let outcome = Box::pin(super::within_patience($promise(harness))).await;
                outcome.map_err(|saw| format!("{}: {saw}", stringify!($promise)))?;
            )+
            Ok(())
        }
    };
}
use suite;

#[cfg(test)]
mod doubles;
