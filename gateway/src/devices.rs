//! `POST /v1/devices`: an app's device registers its token, at each launch.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use skein_core::fact::Registration;
use skein_core::notification::TEXT_BYTES_MAX;
use skein_core::seam::{Clock, Ledger, LedgerError, Submit};
use skein_core::{DeviceToken, Fault, FingerprintKey, PoolName, Timestamp};

use crate::door;
use crate::problem::Problem;
use crate::routes::Shared;

pub(crate) const PATH: &str = "/v1/devices";

/// One device, as its backend names it.
#[derive(Deserialize)]
struct Device {
    token: Option<String>,
    user: Option<String>,
    app: Option<String>,
}

/// How many were registered.
#[derive(Serialize)]
struct Registered {
    registered: usize,
}

/// Registers what a body holds: one device, or an array of them.
pub(crate) async fn post<S: Submit, L: Ledger, C: Clock>(
    State(shared): State<Arc<Shared<S, L, C>>>,
    request: Request,
) -> Response {
    let answer = register(&shared, request).await;
    shared.metrics.answered(PATH, answer.as_ref().map_or_else(Problem::label, |_| "ok"));
    answer.map_or_else(|problem| problem.into_response(), |registered| Json(registered).into_response())
}

async fn register<S: Submit, L: Ledger, C: Clock>(
    shared: &Shared<S, L, C>,
    request: Request,
) -> Result<Registered, Problem> {
    let visitor = door::enter(shared, request.headers())?;
    let pool = visitor.access.pool(visitor.caller(), door::pool_named(request.uri()))?.0;
    let body = door::body(shared, request).await?;
    let registrations =
        read(&body, pool, &shared.fingerprints, shared.options().items_max, shared.clock.now())?;
    let deadline = shared.options().request_deadline;
    let away = |why: String| Problem::LedgerAway(why, shared.options().retry_after);
    match tokio::time::timeout(deadline, shared.ledger.register(&registrations)).await {
        Ok(Ok(())) => Ok(Registered { registered: registrations.len() }),
        Ok(Err(error)) => Err(away(ledger_message(&error))),
        Err(_) => Err(away(format!("the ledger did not answer within {deadline:?}; register again later"))),
    }
}

/// What a caller is told of a ledger that does not do it; the details are the operator's.
pub(crate) fn ledger_message(error: &LedgerError) -> String {
    match error {
        LedgerError::Away(_) => "the ledger is away; try again later".to_owned(),
        LedgerError::Refused(_) => "the ledger refuses; the operator must look".to_owned(),
    }
}

fn read(
    body: &[u8],
    pool: &PoolName,
    fingerprints: &FingerprintKey,
    items_max: usize,
    at: Timestamp,
) -> Result<Vec<Registration>, Problem> {
    let whole: &RawValue = serde_json::from_slice(body).map_err(|e| Problem::NotJson(e.to_string()))?;
    let many = whole.get().starts_with('[');
    let devices: Vec<&RawValue> = if many {
        serde_json::from_str(whole.get()).map_err(|e| Problem::NotJson(e.to_string()))?
    } else {
        vec![whole]
    };
    if devices.is_empty() || devices.len() > items_max {
        let problem = format!("{} devices; 1 to {items_max} in one request", devices.len());
        return Err(Problem::fault("body", &problem));
    }
    let mut faults = Vec::new();
    let mut registrations = Vec::with_capacity(devices.len());
    for (n, device) in devices.iter().enumerate() {
        let at_device = if many { format!("[{n}].") } else { String::new() };
        let Ok(device) = serde_json::from_str::<Device>(device.get()) else {
            faults.push(Fault::new(
                format!("{at_device}body"),
                "not an object with the texts token, user, app",
            ));
            continue;
        };
        let before = faults.len();
        let token = device.token(&at_device, &mut faults);
        check_text(&format!("{at_device}user"), device.user.as_deref(), &mut faults);
        check_text(&format!("{at_device}app"), device.app.as_deref(), &mut faults);
        if let (Some(token), true) = (token, faults.len() == before) {
            registrations.push(Registration {
                pool: pool.clone(),
                fingerprint: fingerprints.token(&token),
                token,
                user: device.user.as_deref().map(|user| fingerprints.text(user)),
                app: device.app.map(Into::into),
                at,
            });
        }
    }
    if faults.is_empty() { Ok(registrations) } else { Err(Problem::Invalid(faults)) }
}

impl Device {
    fn token(&self, at: &str, faults: &mut Vec<Fault>) -> Option<DeviceToken> {
        let Some(text) = &self.token else {
            let problem = "missing; send the device token as hexadecimal text";
            faults.push(Fault::new(format!("{at}token"), problem));
            return None;
        };
        DeviceToken::parse(text)
            .map_err(|e| faults.push(Fault::new(format!("{at}token"), e.to_string())))
            .ok()
    }
}

fn check_text(field: &str, text: Option<&str>, faults: &mut Vec<Fault>) {
    let Some(text) = text else { return };
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let problem = format!("not 1 to {TEXT_BYTES_MAX} bytes without control characters");
        faults.push(Fault::new(field, problem));
    }
}
