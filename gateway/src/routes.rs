//! The gateway and its routes.

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use prometheus::Registry;
use skein_core::FingerprintKey;
use skein_core::seam::{Clock, Ledger, Submit};
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::idempotency::IdempotencyStore;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::problem::Problem;
use crate::rate::Rates;
use crate::recent::Recent;
use crate::{devices, notifications, trace};

/// The description of the routes (OpenAPI 3.1), as it is served.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Every route: method and path, as in [`OPENAPI`].
pub const ROUTES: [(&str, &str); 4] = [
    ("post", notifications::PATH),
    ("get", trace::PATH),
    ("post", devices::PATH),
    ("get", "/v1/openapi.json"),
];

/// The front door: cheap to clone.
pub struct Gateway<S, L, C>(Arc<Shared<S, L, C>>);

impl<S, L, C> Clone for Gateway<S, L, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What every request needs.
pub(crate) struct Shared<S, L, C> {
    pub(crate) submit: S,
    pub(crate) ledger: L,
    pub(crate) clock: C,
    pub(crate) fingerprints: FingerprintKey,
    pub(crate) keys: Arc<dyn IdempotencyStore>,
    pub(crate) metrics: Metrics,
    pub(crate) rates: Rates,
    pub(crate) recent: Recent,
    pub(crate) permits: Arc<Semaphore>,
    access: RwLock<Arc<Access>>,
    options: RwLock<Arc<Options>>,
}

impl<S, L, C> Shared<S, L, C> {
    pub(crate) fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Submit, L: Ledger, C: Clock> Gateway<S, L, C> {
    /// A gateway over an engine's seams. `fingerprints` is the installation's own key, the same as the senders'.
    ///
    /// # Errors
    /// If the registry holds a gateway's metrics already.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own; a struct would only rename them"
    )]
    pub fn new(
        options: Options,
        access: Access,
        submit: S,
        ledger: L,
        clock: C,
        fingerprints: FingerprintKey,
        keys: Arc<dyn IdempotencyStore>,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = Metrics::new(registry)?;
        metrics.begin(access.pools.keys());
        Ok(Self(Arc::new(Shared {
            recent: Recent::new(clock.now(), clock.boot()),
            submit,
            ledger,
            clock,
            fingerprints,
            keys,
            metrics,
            rates: Rates::new(options.rate_max, options.rate_burst),
            permits: Arc::new(Semaphore::new(options.requests_max)),
            access: RwLock::new(Arc::new(access)),
            options: RwLock::new(Arc::new(options)),
        })))
    }

    /// Puts other keys and pools in force, for requests to come.
    pub fn replace_access(&self, access: Access) {
        self.0.metrics.begin(access.pools.keys());
        *self.0.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(access);
    }

    /// Puts other bounds in force, for requests to come. The largest body and the most requests under way stay as they were
    /// at the start.
    pub fn replace_options(&self, options: Options) {
        self.0.rates.set(options.rate_max, options.rate_burst);
        let mut current = self.0.options.write().unwrap_or_else(PoisonError::into_inner);
        let Options { body_bytes_max, requests_max, .. } = **current;
        *current = Arc::new(Options { body_bytes_max, requests_max, ..options });
    }

    /// The routes, for [`serve`](crate::serve).
    pub fn router(&self) -> Router {
        Router::new()
            .route(notifications::PATH, post(notifications::post::<S, L, C>))
            .route(trace::PATH, get(trace::get::<S, L, C>))
            .route(devices::PATH, post(devices::post::<S, L, C>))
            .route("/v1/openapi.json", get(openapi))
            .fallback(|| async { Problem::NoSuchRoute })
            .method_not_allowed_fallback(|| async { Problem::MethodNotAllowed })
            .layer(DefaultBodyLimit::max(self.0.options().body_bytes_max))
            .with_state(Arc::clone(&self.0))
    }
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}
