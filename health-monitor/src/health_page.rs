//! The health page: one page that shows what the API says, written here, kept up to date by a small script.
//!
//! Nothing of it comes from elsewhere: style, script and icon are in the program, and the page's policy forbids anything else. It
//! only reads.

mod charts;
mod credentials;
mod document;
mod glance;
mod plan;
mod queues;
mod senders;
mod words;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::api::{Fleet, History};
use crate::monitor::Shown;

const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");
const ICON: &str = include_str!("../assets/icon.svg");

/// Nothing but what this server itself serves; no inline script or style, no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page shows.
pub trait Shows: Send + Sync + 'static {
    /// The fleet, now.
    fn fleet(&self) -> Arc<Fleet>;
    /// The last quarter of an hour.
    fn history(&self) -> History;
}

impl Shows for Shown {
    fn fleet(&self) -> Arc<Fleet> {
        self.fleet()
    }

    fn history(&self) -> History {
        self.history()
    }
}

/// `GET /` and what belongs to it.
pub fn routes<S: Shows>(shows: Arc<S>) -> Router {
    Router::new()
        .route("/", get(whole::<S>))
        .route("/page/parts", get(parts::<S>))
        .route("/page/page.css", get(|| async { asset("text/css; charset=utf-8", STYLE) }))
        .route("/page/page.js", get(|| async { asset("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/page/icon.svg", get(|| async { asset("image/svg+xml", ICON) }))
        .with_state(shows)
}

async fn whole<S: Shows>(State(shows): State<Arc<S>>) -> Response {
    html(document::whole(&shows.fleet(), &shows.history()))
}

async fn parts<S: Shows>(State(shows): State<Arc<S>>) -> Response {
    html(document::parts(&shows.fleet(), &shows.history()))
}

fn html(body: String) -> Response {
    guarded("text/html; charset=utf-8", "no-store", body)
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    guarded(kind, "no-cache", body)
}

fn guarded(kind: &'static str, cache: &'static str, body: impl IntoResponse) -> Response {
    let headers: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cache),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, body).into_response()
}
