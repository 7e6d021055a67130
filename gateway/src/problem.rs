//! Every way in which a request is refused, with its status, its word and what the caller can do.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_core::Fault;

use crate::outcome::Item;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// 400
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// 401
    #[error("no valid key; send authorization: Bearer <key>")]
    Unauthorized,
    /// 403
    #[error("this key may not use this pool")]
    PoolForbidden,
    /// 404
    #[error("no such pool; see `skein config show` for the pools of this installation")]
    UnknownPool,
    /// 404
    #[error("the ledger knows nothing of this id: it was never submitted, or has no verdict yet")]
    UnknownNotification,
    /// 404
    #[error("no such page; see /v1/openapi.json")]
    NoSuchRoute,
    /// 405
    #[error("this page does not take this method; see /v1/openapi.json")]
    MethodNotAllowed,
    /// 408
    #[error("the body did not arrive within {0:?}; send it faster or in smaller parts")]
    BodyTooSlow(Duration),
    /// 400
    #[error("the body did not arrive whole")]
    BodyCut,
    /// 409
    #[error("this Idempotency-Key was used with another body or pool; use a new one")]
    KeyReused,
    /// 413
    #[error("the body has more than {0} bytes; send fewer notifications in one request")]
    TooLarge(usize),
    /// 422
    #[error("fields are wrong, see faults; nothing was accepted")]
    Invalid(Vec<Fault>),
    /// 429
    #[error("this key submits faster than its rate; nothing was accepted, submit again later")]
    RateLimited(Duration),
    /// 503
    #[error("too many requests are under way; nothing was accepted, submit again later")]
    Busy(Duration),
    /// 503
    #[error("another request with this Idempotency-Key is still under way; submit again later")]
    UnderWay(Duration),
    /// 503
    #[error("{0}")]
    LedgerAway(String, Duration),
    /// 503 or as its items say
    #[error("{}", .0.message())]
    NotAccepted(NotAccepted),
}

/// No notification of the request was accepted, and each says why.
#[derive(Debug, Clone, PartialEq)]
pub struct NotAccepted {
    /// The gravest reason.
    pub why: Why,
    /// What became of each.
    pub items: Vec<Item>,
    /// When to submit again.
    pub retry_after: Duration,
}

/// Why none was accepted; the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Some may be accepted, nobody knows.
    OutcomeUnknown,
    /// The broker or the database does not answer.
    EngineAway,
    /// The engine takes no more now.
    BackPressure,
    /// The broker refused them.
    Rejected,
}

impl NotAccepted {
    fn message(&self) -> &'static str {
        match self.why {
            Why::OutcomeUnknown => {
                "the outcome is unknown; submit again with the same Idempotency-Key or the same ids"
            }
            Why::EngineAway => "the engine is away; nothing was accepted, submit again later",
            Why::BackPressure => "the engine takes no more now; nothing was accepted, submit again later",
            Why::Rejected => "the engine refused them; nothing was accepted, the operator must look",
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    faults: &'a [Fault],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    items: &'a [Item],
}

impl Problem {
    /// One wrong field.
    pub(crate) fn fault(field: &str, problem: &str) -> Self {
        Self::Invalid(vec![Fault::new(field, problem)])
    }

    /// Every word that a request to a route may be answered with.
    pub(crate) const LABELS: [&'static str; 18] = [
        "not_json",
        "unauthorized",
        "pool_forbidden",
        "unknown_pool",
        "unknown_notification",
        "body_too_slow",
        "body_cut",
        "key_reused",
        "too_large",
        "invalid",
        "rate_limited",
        "busy",
        "under_way",
        "ledger_away",
        "outcome_unknown",
        "engine_away",
        "back_pressure",
        "rejected",
    ];

    /// The word in the answer and in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not_json",
            Self::Unauthorized => "unauthorized",
            Self::PoolForbidden => "pool_forbidden",
            Self::UnknownPool => "unknown_pool",
            Self::UnknownNotification => "unknown_notification",
            Self::NoSuchRoute => "no_such_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooSlow(_) => "body_too_slow",
            Self::BodyCut => "body_cut",
            Self::KeyReused => "key_reused",
            Self::TooLarge(_) => "too_large",
            Self::Invalid(_) => "invalid",
            Self::RateLimited(_) => "rate_limited",
            Self::Busy(_) => "busy",
            Self::UnderWay(_) => "under_way",
            Self::LedgerAway(..) => "ledger_away",
            Self::NotAccepted(n) => match n.why {
                Why::OutcomeUnknown => "outcome_unknown",
                Why::EngineAway => "engine_away",
                Why::BackPressure => "back_pressure",
                Why::Rejected => "rejected",
            },
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotJson(_) | Self::BodyCut => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::PoolForbidden => StatusCode::FORBIDDEN,
            Self::UnknownPool | Self::UnknownNotification | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::KeyReused => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) | Self::UnderWay(_) | Self::LedgerAway(..) | Self::NotAccepted(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(after)
            | Self::Busy(after)
            | Self::UnderWay(after)
            | Self::LedgerAway(_, after) => Some(*after),
            Self::NotAccepted(n) => Some(n.retry_after),
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            error: self.label(),
            message: self.to_string(),
            faults: if let Self::Invalid(faults) = &self { faults } else { &[] },
            items: if let Self::NotAccepted(n) = &self { &n.items } else { &[] },
        };
        let mut response = (self.status(), Json(body)).into_response();
        if let Some(after) = self.retry_after() {
            let seconds = after.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if matches!(self, Self::Unauthorized) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [`Problem::LABELS`] is beside the `match` that it repeats.
    #[test]
    fn every_word_of_a_refusal_is_listed() {
        let (_, label) = include_str!("problem.rs").split_once("pub const fn label").unwrap();
        let (label, _) = label.split_once("/// The HTTP status.").unwrap();
        let words = label.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap());
        let routed = words.filter(|word| !["no_such_route", "method_not_allowed"].contains(word));
        let listed: std::collections::BTreeSet<&str> = Problem::LABELS.into();
        assert_eq!(routed.collect::<std::collections::BTreeSet<_>>(), listed);
    }
}
