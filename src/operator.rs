//! The operator's pages beside the role pages: the credentials, and asking for a new one to be taken up.
//!
//! `GET /credentials` says what is in place. `POST /credentials/<pool>/rotate` makes the process look at the pool's
//! credential now; it names no file and carries no secret, so that all that can be asked for is what the operator has put
//! in place anyway. It is taken from this machine alone, and with a header that no web page can send here unasked.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde_json::json;
use skein_gateway::Peer;
use skein_sender::credential::keeper::Outcome;

use crate::wiring::credentials::Credentials;

/// The header that an operator's request carries.
pub const OPERATOR_HEADER: &str = "x-skein-operator";

/// The routes.
pub fn routes(credentials: Credentials) -> Router {
    Router::new()
        .route("/credentials", get(list))
        .route("/credentials/{pool}/rotate", post(rotate))
        .layer(Extension(credentials))
}

async fn list(Extension(credentials): Extension<Credentials>) -> Response {
    Json(json!({"credentials": credentials.views()})).into_response()
}

async fn rotate(
    Extension(credentials): Extension<Credentials>,
    Extension(Peer(peer)): Extension<Peer>,
    Path(pool): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() || !headers.contains_key(OPERATOR_HEADER) {
        let why = "only `skein credential rotate` on this machine may ask for it";
        return (StatusCode::FORBIDDEN, Json(json!({"message": why}))).into_response();
    }
    let Some(outcome) = credentials.rotate(&pool).await else {
        let why = format!("this process has no pool {pool:?}");
        return (StatusCode::NOT_FOUND, Json(json!({"message": why}))).into_response();
    };
    let (word, why) = match outcome {
        Outcome::Rotated(_) => ("rotated", None),
        Outcome::Unchanged => ("unchanged", None),
        Outcome::Refused(why) => ("refused", Some(why)),
        Outcome::Away(why) => ("away", Some(why)),
    };
    let view = credentials.views().remove(&pool);
    Json(json!({"pool": pool, "outcome": word, "why": why, "credential": view})).into_response()
}
