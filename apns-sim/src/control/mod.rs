//! The control endpoint: faults, figures and single tokens over plain HTTP, for people and other processes.
//! It has no authentication; it is meant for loopback.

mod credentials;

use std::net::TcpListener;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::faults::{Faults, Stall, preset as preset_of};
use crate::fingerprint::fingerprint_of_hex;
use crate::log::write_ndjson;
use crate::registry::TokenState;
use crate::shared::{Network, Shared};

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, authority: Arc<Authority>) {
    let listener = listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
    let served = match listener {
        Ok(listener) => {
            let all = router(Arc::clone(&shared)).merge(credentials::router(shared, authority));
            axum::serve(listener, all.fallback(unknown_path)).await
        }
        Err(error) => Err(error),
    };
    if let Err(error) = served {
        tracing::error!(%error, "the control endpoint has ended");
    }
}

/// Every path there is, for who asks for another.
const PATHS: [&str; 15] = [
    "/certificates/issue",
    "/certificates/revoke",
    "/channels",
    "/devices/{token}",
    "/disconnect",
    "/faults",
    "/goaway",
    "/keys",
    "/keys/revoke",
    "/log",
    "/network",
    "/reset",
    "/stall",
    "/stats",
    "/tokens",
];

async fn unknown_path() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "there is no such path", "paths": PATHS }))).into_response()
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/faults", get(show_faults).post(set_faults))
        .route("/stall", post(set_stall))
        .route("/network", get(show_network).post(set_network))
        .route("/channels", get(show_channels))
        .route("/stats", get(async |State(shared): State<Arc<Shared>>| Json(shared.counts().to_json())))
        .route("/log", get(show_log))
        .route("/tokens", post(set_token))
        .route("/devices/{token}", get(show_device).post(set_device))
        .route(
            "/goaway",
            post(async |State(shared): State<Arc<Shared>>| order(&shared, |orders| orders.goaway += 1)),
        )
        .route(
            "/disconnect",
            post(async |State(shared): State<Arc<Shared>>| order(&shared, |orders| orders.reset += 1)),
        )
        .route("/reset", post(reset))
        .with_state(shared)
}

async fn show_faults(State(shared): State<Arc<Shared>>) -> Json<Faults> {
    Json(Faults::clone(&shared.faults_with_phases()))
}

#[derive(Deserialize)]
struct Preset {
    preset: Option<String>,
    rate: Option<f64>,
    every: Option<u64>,
}

/// Replaces all faults: by a preset, or by the body, which is JSON or, with `content-type: application/toml`, TOML.
async fn set_faults(
    State(shared): State<Arc<Shared>>,
    Query(Preset { preset, rate, every }): Query<Preset>,
    headers: header::HeaderMap,
    body: String,
) -> Response {
    let is_toml = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"toml"));
    let read = match preset.as_deref() {
        Some(name) => preset_of(name, rate, every).map_err(|error| error.to_string()),
        None if is_toml => Faults::from_toml(&body).map_err(|error| error.to_string()),
        None => serde_json::from_str(&body).map_err(|error| format!("the faults do not parse: {error}")),
    };
    match read.and_then(|faults| shared.set_faults(faults).map_err(|error| error.to_string())) {
        Ok(()) => show_faults(State(shared)).await.into_response(),
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StallBody {
    stall: Stall,
}

async fn set_stall(
    State(shared): State<Arc<Shared>>,
    Json(StallBody { stall }): Json<StallBody>,
) -> Response {
    let faults = Faults { stall, ..Faults::clone(&shared.faults_with_phases()) };
    match shared.set_faults(faults) {
        Ok(()) => Json(json!({ "stall": stall })).into_response(),
        Err(error) => refuse(&error.to_string()),
    }
}

async fn show_network(State(shared): State<Arc<Shared>>) -> Json<Network> {
    Json(shared.network())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkBody {
    rtt_ms: Option<u64>,
    window_bytes: Option<u32>,
}

async fn set_network(
    State(shared): State<Arc<Shared>>,
    Json(NetworkBody { rtt_ms, window_bytes }): Json<NetworkBody>,
) -> Response {
    let now = shared.network();
    let wanted = Network {
        rtt_ms: rtt_ms.unwrap_or(now.rtt_ms),
        window_bytes: window_bytes.unwrap_or(now.window_bytes),
    };
    if let Err(error) = wanted.check() {
        return refuse(&error);
    }
    shared.set_network(wanted);
    show_network(State(shared)).await.into_response()
}

async fn show_channels(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.channels.shown(shared.wall_ms())).into_response()
}

async fn show_log(State(shared): State<Arc<Shared>>) -> Response {
    let mut text = Vec::new();
    match write_ndjson(&shared.book.snapshot(), &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: String,
    state: TokenState,
}

async fn set_token(
    State(shared): State<Arc<Shared>>,
    Json(TokenBody { token, state }): Json<TokenBody>,
) -> Response {
    let Some(fingerprint) = fingerprint_of_hex(&token) else {
        return refuse("the token is no even-length hex");
    };
    if !shared.set_token(fingerprint, state) {
        return refuse("too many tokens have a state of their own; POST /reset forgets them");
    }
    Json(json!({ "token": format!("{fingerprint:016x}"), "state": state })).into_response()
}

async fn show_device(State(shared): State<Arc<Shared>>, Path(token): Path<String>) -> Response {
    let shown = fingerprint_of_hex(&token).and_then(|token| shared.device(token));
    match shown {
        Some(shown) => Json(shown).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "error": "nothing was delivered to this token" })))
            .into_response(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceBody {
    online: Option<bool>,
}

async fn set_device(
    State(shared): State<Arc<Shared>>,
    Path(token): Path<String>,
    Json(DeviceBody { online }): Json<DeviceBody>,
) -> Response {
    let Some(fingerprint) = fingerprint_of_hex(&token) else {
        return refuse("the token is no even-length hex");
    };
    if !shared.set_device_online(fingerprint, online) {
        return refuse("there is no room for another device");
    }
    show_device(State(shared), Path(token)).await
}

fn order(shared: &Shared, change: impl FnOnce(&mut crate::shared::Orders)) -> Json<Value> {
    shared.orders.send_modify(change);
    Json(json!({ "connections_open": shared.counts().connections_open }))
}

async fn reset(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.reset();
    Json(json!({}))
}
