//! The way in, the same for every route: a permit, the caller's key, the pool, the whole body.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use prometheus::IntGauge;
use skein_core::seam::{Clock, Ledger, Submit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::{Access, ApiKey};
use crate::problem::Problem;
use crate::routes::Shared;

/// A request under way: bounded in number, counted while it lives.
pub(crate) struct Permit {
    open: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Permit {
    fn take(permits: &Arc<Semaphore>, open: &IntGauge) -> Option<Self> {
        let permit = Arc::clone(permits).try_acquire_owned().ok()?;
        open.inc();
        Some(Self { open: open.clone(), _permit: permit })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// Who came in.
pub(crate) struct Visitor {
    /// What was in force when they came in.
    pub(crate) access: Arc<Access>,
    caller: usize,
    /// Held until the request's work is done, even if its caller hangs up.
    _permit: Permit,
}

impl Visitor {
    /// The caller.
    pub(crate) fn caller(&self) -> &ApiKey {
        &self.access.keys[self.caller]
    }
}

/// Lets a request in.
///
/// # Errors
/// Too many are in, or no valid key.
pub(crate) fn enter<S: Submit, L: Ledger, C: Clock>(
    shared: &Shared<S, L, C>,
    headers: &HeaderMap,
) -> Result<Visitor, Problem> {
    let permit = Permit::take(&shared.permits, &shared.metrics.open)
        .ok_or(Problem::Busy(shared.options().retry_after))?;
    let access = shared.access();
    let caller = bearer(headers).and_then(|key| access.caller(key)).ok_or(Problem::Unauthorized)?;
    Ok(Visitor { access, caller, _permit: permit })
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key.trim_ascii())
}

/// The pool named in the query: `?pool=<pool>`. Names of pools need no escapes.
pub(crate) fn pool_named(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("pool="))
}

/// Reads the whole body, within the deadline and the bound.
pub(crate) async fn body<S: Submit, L: Ledger, C: Clock>(
    shared: &Shared<S, L, C>,
    request: Request,
) -> Result<Bytes, Problem> {
    let deadline = shared.options().body_deadline;
    match tokio::time::timeout(deadline, Bytes::from_request(request, &())).await {
        Err(_) => Err(Problem::BodyTooSlow(deadline)),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::TooLarge(shared.options().body_bytes_max))
        }
        Ok(Err(_)) => Err(Problem::BodyCut),
    }
}
