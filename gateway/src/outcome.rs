//! What a submission adds up to: one answer from the outcomes of its notifications. Pure.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_core::seam::{Confirmation, SubmitError};
use skein_core::{Fault, NotificationId, PoolName};

use crate::problem::{NotAccepted, Problem, Why};

/// What became of one notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id, given or made; it is the `apns-id`.
    pub id: NotificationId,
    /// `accepted`, `not_accepted` or `unknown`.
    pub outcome: Outcome,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The outcome of one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Stored durably; it will end in exactly one final verdict.
    Accepted,
    /// Not stored.
    NotAccepted,
    /// Nobody knows; submit it again with the same id.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub(crate) const ALL: [Self; 3] = [Self::Accepted, Self::NotAccepted, Self::Unknown];

    /// The word in metrics; the same as in the answer.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NotAccepted => "not_accepted",
            Self::Unknown => "unknown",
        }
    }
}

/// The answer to a submission of which at least one notification was accepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Accepted {
    pool: String,
    accepted: usize,
    not_accepted: usize,
    unknown: usize,
    items: Vec<Item>,
}

impl Accepted {
    /// Every one was accepted.
    pub(crate) fn all(pool: &PoolName, ids: &[NotificationId]) -> Self {
        let item = |id: &NotificationId| Item { id: *id, outcome: Outcome::Accepted, problem: None };
        Self::of(pool, ids.iter().map(item).collect())
    }

    fn of(pool: &PoolName, items: Vec<Item>) -> Self {
        let count = |outcome| items.iter().filter(|i| i.outcome == outcome).count();
        Self {
            pool: pool.to_string(),
            accepted: count(Outcome::Accepted),
            not_accepted: count(Outcome::NotAccepted),
            unknown: count(Outcome::Unknown),
            items,
        }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let all = self.accepted == self.items.len();
        let status = if all { StatusCode::ACCEPTED } else { StatusCode::MULTI_STATUS };
        (status, Json(self)).into_response()
    }
}

/// One notification's outcome, with its place in the request for the names of faults.
pub(crate) fn item(id: NotificationId, outcome: &Result<Confirmation, SubmitError>) -> Item {
    match outcome {
        Ok(_) => Item { id, outcome: Outcome::Accepted, problem: None },
        Err(error) => {
            let outcome = match error {
                SubmitError::Unknown => Outcome::Unknown,
                _ => Outcome::NotAccepted,
            };
            Item { id, outcome, problem: Some(error.to_string()) }
        }
    }
}

/// The answer: 202 if all were accepted, 207 if some were, else the gravest problem.
pub(crate) fn answer(
    pool: &PoolName,
    items: Vec<Item>,
    outcomes: &[Result<Confirmation, SubmitError>],
    retry_after: Duration,
) -> Result<Accepted, Problem> {
    if items.iter().any(|i| i.outcome == Outcome::Accepted) {
        return Ok(Accepted::of(pool, items));
    }
    let errors = || outcomes.iter().filter_map(|o| o.as_ref().err());
    let Some(why) = errors().filter_map(why).min() else {
        if errors().any(|e| matches!(e, SubmitError::UnknownPool(_))) {
            return Err(Problem::UnknownPool);
        }
        return Err(Problem::Invalid(faults(outcomes)));
    };
    Err(Problem::NotAccepted(NotAccepted { why, items, retry_after }))
}

/// The problem that a mended service removes; `None` for one that only the caller can mend.
fn why(error: &SubmitError) -> Option<Why> {
    match error {
        SubmitError::UnknownPool(_) | SubmitError::Invalid(_) => None,
        SubmitError::Unknown => Some(Why::OutcomeUnknown),
        SubmitError::Away { .. } => Some(Why::EngineAway),
        SubmitError::BackPressure(_) => Some(Why::BackPressure),
        SubmitError::Rejected(_) => Some(Why::Rejected),
    }
}

fn faults(outcomes: &[Result<Confirmation, SubmitError>]) -> Vec<Fault> {
    let alone = outcomes.len() == 1;
    let lead = |n: usize| if alone { String::new() } else { format!("items[{n}].") };
    let faults = outcomes.iter().enumerate().filter_map(|(n, outcome)| match outcome {
        Err(SubmitError::Invalid(fault)) => {
            Some(Fault::new(format!("{}{}", lead(n), fault.field), fault.problem.clone()))
        }
        _ => None,
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to(outcomes: &[Result<(), SubmitError>]) -> Result<Accepted, Problem> {
        let pool = PoolName::parse("im").unwrap();
        let id = NotificationId::now();
        let outcomes: Vec<_> = outcomes.iter().map(|o| o.clone().map(|()| Confirmation { id })).collect();
        let items = outcomes.iter().map(|o| item(id, o)).collect();
        answer(&pool, items, &outcomes, Duration::from_secs(1))
    }

    fn label(outcomes: &[Result<(), SubmitError>]) -> (u16, &'static str) {
        let problem = answer_to(outcomes).unwrap_err();
        (problem.status().as_u16(), problem.label())
    }

    #[test]
    fn each_error_has_its_answer_and_the_gravest_wins() {
        let away = || Err(SubmitError::Away { waited: Duration::from_secs(5) });
        let full = || Err(SubmitError::BackPressure("the window is full"));
        let bad = || Err(SubmitError::Invalid(Fault::new("payload", "too long")));
        assert_eq!(label(&[away()]), (503, "engine_away"));
        assert_eq!(label(&[full()]), (503, "back_pressure"));
        assert_eq!(label(&[Err(SubmitError::Rejected("nack"))]), (503, "rejected"));
        assert_eq!(label(&[Err(SubmitError::UnknownPool("x".into()))]), (404, "unknown_pool"));
        assert_eq!(label(&[bad()]), (422, "invalid"));
        assert_eq!(label(&[full(), away(), bad()]), (503, "engine_away"));
        assert_eq!(label(&[full(), Err(SubmitError::Unknown), away()]), (503, "outcome_unknown"));
    }

    #[test]
    fn partly_accepted_says_which() {
        let accepted = answer_to(&[Ok(()), Err(SubmitError::Unknown), Err(SubmitError::Rejected("nack"))]);
        let accepted = accepted.unwrap();
        assert_eq!((accepted.accepted, accepted.not_accepted, accepted.unknown), (1, 1, 1));
        assert_eq!(accepted.items[2].problem.as_deref(), Some("not accepted: nack"));
        assert_eq!(accepted.into_response().status(), 207);
        assert_eq!(answer_to(&[Ok(())]).unwrap().into_response().status(), 202);
    }

    #[test]
    fn faults_name_their_item() {
        let bad = || Err(SubmitError::Invalid(Fault::new("payload", "too long")));
        let Err(Problem::Invalid(faults)) = answer_to(&[bad(), bad()]) else { panic!("not refused") };
        assert_eq!(faults[1].field, "items[1].payload");
    }
}
