//! The API's routes. They stand beside the role pages, on the monitor's own listener.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::health_page;
use crate::monitor::Shown;

/// `GET /v1/fleet` and `GET /v1/fleet/history`, see [`crate::api`]; `GET /`, see [`health_page`].
pub fn routes(shown: Arc<Shown>) -> Router {
    let page = health_page::routes(Arc::clone(&shown));
    Router::new()
        .route("/v1/fleet", get(fleet))
        .route("/v1/fleet/history", get(history))
        .with_state(shown)
        .merge(page)
}

async fn fleet(State(shown): State<Arc<Shown>>) -> Response {
    uncached(Json(&*shown.fleet()))
}

async fn history(State(shown): State<Arc<Shown>>) -> Response {
    uncached(Json(shown.history()))
}

fn uncached(body: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], body).into_response()
}
