//! The role pages: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use prometheus::{IntGauge, Opts, Registry, TextEncoder};
use serde::Serialize;

/// One thing that must be well for the role to be ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is: `broker`, `ledger`.
    pub name: &'static str,
    /// What is wrong with it; absent if nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What is worth knowing of it although it stops nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Part {
    /// Without a note.
    pub fn new(name: &'static str, trouble: Option<String>) -> Self {
        Self { name, trouble, note: None }
    }
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    parts: Vec<Part>,
}

/// The role pages over a registry. `ready` is asked at each `/readyz` and answers within its own bound.
pub fn pages<F, A>(registry: Registry, ready: F) -> Router
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output = Vec<Part>> + Send + 'static,
{
    build_info(&registry);
    let ready = Arc::new(ready);
    let readyz = move || {
        let ready = Arc::clone(&ready);
        async move { readiness(ready().await) }
    };
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(move || async move { metrics(&registry) }))
}

/// Which version answers: 1, with the version as its label.
fn build_info(registry: &Registry) {
    let what = Opts::new("skein_build_info", "1; the version of this process is its label.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    // Pages of one registry served twice tell it once.
    let _ = IntGauge::with_opts(what).and_then(|info| {
        info.set(1);
        registry.register(Box::new(info))
    });
}

fn readiness(parts: Vec<Part>) -> Response {
    let ready = parts.iter().all(|part| part.trouble.is_none());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, parts })).into_response()
}

fn metrics(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
