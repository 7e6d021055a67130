//! `POST /v1/notifications`: enter → read → submit → answer.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use skein_core::seam::{Clock, Confirmation, Ledger, LookUp, Submit, SubmitError};
use skein_core::{Notification, NotificationId, PoolName, TraceContext};

use crate::access::PoolRule;
use crate::door::{self, Visitor};
use crate::idempotency::{Begin, BodyHash, End, KeyHash, Remembered};
use crate::outcome::{self, Accepted, Item, Outcome};
use crate::problem::{NotAccepted, Problem, Why};
use crate::routes::Shared;
use crate::submission;

pub(crate) const PATH: &str = "/v1/notifications";

type Given<S, L, C> = Arc<Shared<S, L, C>>;

/// Submits what a body asks for.
pub(crate) async fn post<S: Submit, L: Ledger, C: Clock>(
    State(shared): State<Given<S, L, C>>,
    request: Request,
) -> Response {
    let timer = shared.metrics.seconds.start_timer();
    let answer = submit(&shared, request).await;
    timer.observe_duration();
    shared.metrics.answered(PATH, answer.as_ref().map_or_else(Problem::label, |_| "ok"));
    answer.map_or_else(|problem| problem.into_response(), |accepted| accepted.into_response())
}

async fn submit<S: Submit, L: Ledger, C: Clock>(
    shared: &Given<S, L, C>,
    request: Request,
) -> Result<Accepted, Problem> {
    let visitor = door::enter(shared, request.headers())?;
    let (pool, rule) = visitor.access.pool(visitor.caller(), door::pool_named(request.uri()))?;
    let (pool, rule) = (pool.clone(), rule.clone());
    let key = match request.headers().get("idempotency-key") {
        None => None,
        Some(key) => Some(KeyHash::of(&visitor.caller().name, key.as_bytes())?),
    };
    let trace = request.headers().get("traceparent").and_then(|h| TraceContext::parse(h.to_str().ok()?));
    let body = door::body(shared, request).await?;
    let work = Work {
        shared: Arc::clone(shared),
        visitor,
        rule,
        pool: pool.clone(),
        body,
        trace,
        ids: Arc::new(OnceLock::new()),
    };
    let ids = Arc::clone(&work.ids);
    // A task of its own: what is begun is ended, even if the caller hangs up or the deadline passes.
    let task = tokio::spawn(work.run(key));
    let options = shared.options();
    match tokio::time::timeout(options.request_deadline, task).await {
        Ok(Ok(answer)) => answer,
        _ => match ids.get() {
            None => Err(Problem::UnderWay(options.retry_after)),
            Some(ids) => {
                let item = |id: &NotificationId| Item { id: *id, outcome: Outcome::Unknown, problem: None };
                let items = ids.iter().map(item).collect();
                Err(Problem::NotAccepted(NotAccepted {
                    why: Why::OutcomeUnknown,
                    items,
                    retry_after: options.retry_after,
                }))
            }
        },
    }
}

/// One request's work.
struct Work<S, L, C> {
    shared: Given<S, L, C>,
    visitor: Visitor,
    pool: PoolName,
    rule: PoolRule,
    body: Bytes,
    /// The trace of the request, for what names none of its own.
    trace: Option<TraceContext>,
    /// The ids, as soon as they are known.
    ids: Arc<OnceLock<Box<[NotificationId]>>>,
}

impl<S: Submit, L: Ledger, C: Clock> Work<S, L, C> {
    async fn run(self, key: Option<KeyHash>) -> Result<Accepted, Problem> {
        let Some(key) = key else { return self.submit(None).await.1 };
        let body = BodyHash::of(&self.pool, &self.body);
        let keys = &self.shared.keys;
        let earlier = match keys.begin(key, body, self.shared.clock.boot()).await {
            Begin::Conflict => return Err(Problem::KeyReused),
            Begin::Answered(ids) => return Ok(Accepted::all(&self.pool, &ids)),
            Begin::Go(earlier) => earlier,
        };
        let (end, answer) = self.submit(earlier).await;
        keys.end(key, end).await;
        self.shared.metrics.keys.set(i64::try_from(keys.len()).unwrap_or(i64::MAX));
        answer
    }

    /// Submits what is not known to be accepted; with what to remember of it.
    async fn submit(&self, earlier: Option<Remembered>) -> (End, Result<Accepted, Problem>) {
        let again = |earlier: Option<Remembered>| earlier.map_or(End::Forget, End::Open);
        let submission = match self.read(earlier.as_ref()) {
            Ok(submission) => submission,
            Err(problem) => return (again(earlier), Err(problem)),
        };
        let ids: Box<[NotificationId]> = submission.notifications.iter().map(|n| n.id).collect();
        let mut accepted = match &earlier {
            Some(earlier) => earlier.accepted.clone(),
            None => vec![false; ids.len()].into(),
        };
        self.find_final(&submission, &mut accepted).await;
        let _ = self.ids.set(ids.clone());

        let submission_known = submission.known.iter().any(|known| *known);
        let mut open = Vec::new();
        let mut places = Vec::new();
        for (place, notification) in submission.notifications.into_iter().enumerate() {
            if !accepted[place] {
                open.push(notification);
                places.push(place);
            }
        }
        let mut outcomes: Vec<Result<Confirmation, SubmitError>> =
            ids.iter().map(|id| Ok(Confirmation { id: *id })).collect();
        if !open.is_empty() {
            let submit = &self.shared.submit;
            let results = if self.may_be_again(earlier.is_some(), submission_known, &open) {
                submit.submit_again(&self.pool, open).await
            } else {
                let results = submit.submit(&self.pool, open).await;
                let confirmed = results.iter().filter(|result| result.is_ok()).count();
                self.shared.metrics.confirmed(self.pool.as_str(), confirmed);
                results
            };
            let mut results = results.into_iter();
            for place in places {
                outcomes[place] = results.next().unwrap_or(Err(SubmitError::Unknown));
                accepted[place] = outcomes[place].is_ok();
            }
        }
        let items: Vec<Item> =
            ids.iter().zip(&outcomes).map(|(id, outcome)| outcome::item(*id, outcome)).collect();
        for word in Outcome::ALL {
            let count = items.iter().filter(|i| i.outcome == word).count();
            self.shared.metrics.submitted(self.pool.as_str(), word, count);
        }
        let answer = outcome::answer(&self.pool, items, &outcomes, self.shared.options().retry_after);
        let end = if accepted.iter().all(|a| *a) {
            End::Answered(ids)
        } else {
            End::Open(Remembered { ids, accepted })
        };
        (end, answer)
    }

    /// Whether some of these may have been submitted before: the request goes on with an earlier one, or it brings ids of its own
    /// that may be known. Then all of it goes marked, so that the order of a token stays that of the request.
    fn may_be_again(&self, continued: bool, has_own_ids: bool, open: &[Notification]) -> bool {
        let Shared { clock, recent, .. } = &*self.shared;
        // Ids that were made here go in too: the caller has them from the answer, and may come again with them.
        let known = recent.may_be_again(open.iter().map(|n| n.id), clock.now(), clock.boot());
        continued || has_own_ids && known
    }

    /// Reads the body, under the ids made the first time.
    fn read(&self, earlier: Option<&Remembered>) -> Result<submission::Submission, Problem> {
        let now = self.shared.clock.now();
        let mut submission = submission::read(&self.body, &self.rule, self.shared.options().items_max, now)?;
        if let Some(trace) = self.trace {
            for n in submission.notifications.iter_mut().filter(|n| n.content.trace.is_none()) {
                Arc::make_mut(&mut n.content).trace = Some(trace);
            }
        }
        if let Some(earlier) = earlier {
            for (n, id) in submission.notifications.iter_mut().zip(&earlier.ids) {
                if !id.is_near(now) {
                    let problem = "the ids made for it are more than a day old; use a new one";
                    return Err(Problem::fault("Idempotency-Key", problem));
                }
                n.id = *id;
            }
            submission.known.fill(true);
        }
        let caller = &self.visitor.caller().name;
        let rates = &self.shared.rates;
        rates
            .take(caller, submission.notifications.len(), self.shared.clock.boot())
            .map_err(Problem::RateLimited)?;
        Ok(submission)
    }

    /// Marks as accepted what has its final verdict already: it is not published again. Without a ledger nothing is, and the
    /// sender recognises what it has seen.
    async fn find_final(&self, submission: &submission::Submission, accepted: &mut [bool]) {
        let known = |place: &usize| submission.known[*place] && !accepted[*place];
        let places: Vec<usize> = (0..submission.notifications.len()).filter(known).collect();
        if places.is_empty() {
            return;
        }
        let look_up =
            |n: &Notification| LookUp { key: n.key(), token: self.shared.fingerprints.token(&n.token) };
        let asked: Vec<LookUp> = places.iter().map(|p| look_up(&submission.notifications[*p])).collect();
        if let Ok(found) = self.shared.ledger.look_up(&asked).await {
            for (place, found) in places.into_iter().zip(found) {
                accepted[place] = found.verdict.is_some();
            }
        }
    }
}
