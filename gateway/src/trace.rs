//! `GET /v1/notifications/{id}`: what the ledger knows of a notification, for support.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use skein_core::NotificationId;
use skein_core::seam::{Clock, Ledger, Submit, TraceEvent};

use crate::devices::ledger_message;
use crate::door;
use crate::problem::Problem;
use crate::routes::Shared;

pub(crate) const PATH: &str = "/v1/notifications/{id}";

#[derive(Serialize)]
struct Traced {
    id: NotificationId,
    /// Oldest first; only those of pools that the key may use.
    events: Vec<TraceEvent>,
}

/// Answers with everything the ledger knows of an id.
pub(crate) async fn get<S: Submit, L: Ledger, C: Clock>(
    State(shared): State<Arc<Shared<S, L, C>>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let answer = trace(&shared, &id, &headers).await;
    shared.metrics.answered(PATH, answer.as_ref().map_or_else(Problem::label, |_| "ok"));
    answer.map_or_else(|problem| problem.into_response(), |traced| Json(traced).into_response())
}

async fn trace<S: Submit, L: Ledger, C: Clock>(
    shared: &Shared<S, L, C>,
    id: &str,
    headers: &HeaderMap,
) -> Result<Traced, Problem> {
    let visitor = door::enter(shared, headers)?;
    let id = NotificationId::parse(id).map_err(|e| Problem::fault("id", &e.to_string()))?;
    let deadline = shared.options().request_deadline;
    let away = |why: String| Problem::LedgerAway(why, shared.options().retry_after);
    let trace = match tokio::time::timeout(deadline, shared.ledger.trace(id)).await {
        Ok(Ok(trace)) => trace,
        Ok(Err(error)) => return Err(away(ledger_message(&error))),
        Err(_) => {
            return Err(away(format!("the ledger did not answer within {deadline:?}; ask again later")));
        }
    };
    let mut events = trace.events;
    events.retain(|event| visitor.caller().may_use(&event.pool));
    if events.is_empty() {
        return Err(Problem::UnknownNotification);
    }
    Ok(Traced { id, events })
}
