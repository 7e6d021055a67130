//! The credentials that a process was told of and APNs has yet to take: a pool that pushes nothing has no word on them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use skein_sender::credential::judgement::Judgement;

/// By the pools' names.
#[derive(Debug, Clone, Default)]
pub struct Trials(Arc<Mutex<BTreeMap<String, Judgement>>>);

/// A pool's new credential was given back.
#[derive(Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The pool.
    pub pool: String,
    /// Why.
    pub why: String,
}

impl Trials {
    /// A pool's latest is on trial.
    pub fn put(&self, pool: &str, judgement: Judgement) {
        self.open().insert(pool.to_owned(), judgement);
    }

    /// A pool's is on trial no more.
    pub fn end(&self, pool: &str) {
        self.open().remove(pool);
    }

    /// Whether any is to be waited for.
    pub fn is_open(&self) -> bool {
        !self.open().is_empty()
    }

    /// Whose.
    pub fn pools(&self) -> Vec<String> {
        self.open().keys().cloned().collect()
    }

    /// Waits until APNs has taken all of them, and ends them. Cancellation safe.
    ///
    /// # Errors
    /// The first that is given back; it is ended.
    pub async fn ended(&self) -> Result<(), GivenBack> {
        let all = self.open().clone();
        let judged = all.iter().map(async |(pool, judgement)| {
            judgement.ended().await.map_err(|why| GivenBack { pool: pool.clone(), why })
        });
        let ended = try_join_all(judged).await.map(drop);
        match &ended {
            Ok(()) => self.open().clear(),
            Err(back) => self.end(&back.pool),
        }
        ended
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Judgement>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
