//! Credentials over the control endpoint: signing keys made known or revoked, client certificates issued or revoked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::json;

use super::refuse;
use crate::authority::{Authority, ClientCertificateSpec};
use crate::provider_token::{Environment, ProviderKey};
use crate::shared::Shared;

pub(super) fn router(shared: Arc<Shared>, authority: Arc<Authority>) -> Router {
    let issue = Router::new().route("/certificates/issue", post(issue)).with_state(authority);
    Router::new()
        .route("/keys", post(set_key))
        .route("/keys/revoke", post(revoke_key))
        .route("/certificates/revoke", post(revoke_certificate))
        .with_state(shared)
        .merge(issue)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyBody {
    key_id: String,
    team_id: String,
    /// The signing key, PKCS#8 PEM; only its public half is kept.
    p8: String,
    environment: Option<Environment>,
    #[serde(default)]
    topics: Vec<String>,
    related: Option<String>,
}

async fn set_key(State(shared): State<Arc<Shared>>, Json(body): Json<KeyBody>) -> Response {
    let read = ProviderKey::from_p8(&body.key_id, &body.team_id, body.environment, body.p8.as_bytes());
    let key = match read {
        Ok(key) => key.for_topics(body.topics.iter().map(String::as_str)),
        Err(error) => return refuse(&error.to_string()),
    };
    shared.set_key(match &body.related {
        Some(related) => key.related_to(related),
        None => key,
    });
    Json(json!({ "key_id": body.key_id })).into_response()
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRevocation {
    key_id: String,
    #[serde(default = "yes")]
    revoked: bool,
}

async fn revoke_key(
    State(shared): State<Arc<Shared>>,
    Json(KeyRevocation { key_id, revoked }): Json<KeyRevocation>,
) -> Response {
    if !shared.set_key_revoked(&key_id, revoked) {
        return refuse("no key of this id is known");
    }
    Json(json!({ "key_id": key_id, "revoked": revoked })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateRevocation {
    /// PEM.
    certificate: String,
    #[serde(default = "yes")]
    revoked: bool,
}

async fn revoke_certificate(
    State(shared): State<Arc<Shared>>,
    Json(CertificateRevocation { certificate, revoked }): Json<CertificateRevocation>,
) -> Response {
    let Ok(der) = CertificateDer::from_pem_slice(certificate.as_bytes()) else {
        return refuse("the certificate is no PEM");
    };
    if !shared.certificates.set_revoked(&der, revoked) {
        return refuse("too many certificates are revoked");
    }
    Json(json!({ "revoked": revoked })).into_response()
}

async fn issue(State(authority): State<Arc<Authority>>, Json(spec): Json<ClientCertificateSpec>) -> Response {
    match authority.client(&spec) {
        Ok(pair) => Json(json!({ "certificate": pair.certificate, "key": pair.key })).into_response(),
        Err(error) => refuse(&format!("the certificate cannot be made: {error}")),
    }
}
