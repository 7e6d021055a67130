//! A wish: written down, and waited for until the leading monitor has carried it out or it is said why not.

use std::time::Duration;

use skein_core::fleet::{Because, MemberId, Quarantine, Wanted};
use skein_core::plan::Answer;
use skein_core::seam::{FleetStore as _, FleetView};
use tokio::time::Instant;

use super::{Access, rehearse};
use crate::args::Wait;
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};
use crate::wiring;

/// How often it is looked whether it is done: an event may be lost.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is said what is waited for.
const SAY: Duration = Duration::from_secs(5);

/// Whose wish it is, and when it is done.
pub struct Goal<F> {
    /// Who wishes it, and why.
    pub because: Because,
    /// Whether the fleet is as wished.
    pub reached: F,
}

/// Which way somebody is kept out.
pub enum Kept {
    /// Kept out from now on.
    Out,
    /// No more.
    Lifted,
}

/// Writes the wish down and waits.
///
/// # Errors
/// When ZooKeeper is away, or the plan refuses the wish.
pub async fn fulfil<F: Fn(&FleetView) -> bool>(
    access: &Access,
    wanted: Wanted,
    goal: Goal<F>,
    wait: &Wait,
    output: Output,
) -> Result<Exit, Failure> {
    let what = wanted.to_string();
    let (_, answer) = rehearse(&access.see().await?, wanted.clone());
    if let Some(Answer::Refused { why }) = answer {
        return Err(Failure::Failed(anyhow::anyhow!("{}: {why}", what)));
    }
    let id = access
        .store
        .wish(goal.because.clone(), wanted.clone())
        .await
        .map_err(|error| access.failure(&error))?;
    if wait.limit.is_zero() {
        output.line(
            format!("{}: wished ({}); not waited for", what, id.0),
            &serde_json::json!({"wish": id, "outcome": "wished"}),
        );
        return Ok(Exit::Done);
    }
    // What the plan never refuses is done when the monitor has taken it away.
    let is_never_refused = matches!(wanted, Wanted::Rebalance | Wanted::ReleaseHold | Wanted::Undrain { .. });
    let stands = |view: &FleetView| view.wishes.iter().any(|wish| wish.id == id);
    let done = until(access, wait, &what, output, |view| {
        ((goal.reached)(view)).then_some(true).or_else(|| (!stands(view)).then_some(is_never_refused))
    });
    match done.await? {
        Some(true) => {
            output.line(format!("{}: done", what), &serde_json::json!({"wish": id, "outcome": "done"}));
            Ok(Exit::Done)
        }
        Some(false) => Err(Failure::Failed(anyhow::anyhow!(
            "{}: the leading monitor has refused it, or another wish took its place; see `skein queue list` and the monitor's log",
            what
        ))),
        None => not_yet(access, &what, wait, output).await,
    }
}

/// Keeps a member out, or no more, and waits until it has no queues.
///
/// # Errors
/// When ZooKeeper is away.
pub async fn keep_out(
    access: &Access,
    member: &MemberId,
    kept: Kept,
    because: Because,
    wait: &Wait,
    output: Output,
) -> Result<Exit, Failure> {
    let refused = |error| access.failure(&error);
    if matches!(kept, Kept::Lifted) {
        access.store.lift(member, because).await.map_err(refused)?;
        output.line(
            format!("{member} may have queues again"),
            &serde_json::json!({"member": member, "outcome": "lifted"}),
        );
        return Ok(Exit::Done);
    }
    let Because { by, reason: why } = because;
    let quarantine = Quarantine { member: member.clone(), by, why, since: wiring::now() };
    access.store.quarantine(quarantine).await.map_err(refused)?;
    let what = format!("quarantine of {member}");
    let empty = |view: &FleetView| owns_nothing(view, member).then_some(());
    if wait.limit.is_zero() || until(access, wait, &what, output, empty).await?.is_some() {
        output.line(
            format!("{member} is kept out until `skein sender quarantine {member} --lift`"),
            &serde_json::json!({"member": member, "outcome": "quarantined"}),
        );
        return Ok(Exit::Done);
    }
    not_yet(access, &what, wait, output).await
}

/// Whether a member owns no queue.
pub fn owns_nothing(view: &FleetView, member: &MemberId) -> bool {
    view.queues.iter().all(|q| q.assignment.owner.as_ref().is_none_or(|owner| owner.member != *member))
}

/// Looks until there is an answer, or the wait is over; says meanwhile what is held.
async fn until<T>(
    access: &Access,
    wait: &Wait,
    what: &str,
    output: Output,
    answer: impl Fn(&FleetView) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let end = Instant::now() + wait.limit;
    let mut say = Instant::now() + SAY;
    loop {
        if let Some(answer) = answer(&access.view().await?) {
            return Ok(Some(answer));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        if Instant::now() >= say && !output.is_json() {
            say = Instant::now() + SAY;
            output::note(&format!("{what}: waiting; {}", reasons(access).await.1.join("; ")));
        }
        tokio::select! {
            () = access.store.changed() => {}
            () = tokio::time::sleep(LOOK.min(end.saturating_duration_since(Instant::now()))) => {}
        }
    }
}

/// The wait is over: why it is held, and that the wish stands.
async fn not_yet(access: &Access, what: &str, wait: &Wait, output: Output) -> Result<Exit, Failure> {
    let (is_led, why) = reasons(access).await;
    let waited = skein_config::format_duration(wait.limit);
    let text = format!("{what}: not done after {waited}, and the wish stands: {}", why.join("; "));
    if output.is_json() {
        output.line("", &serde_json::json!({"outcome": "waiting", "why": why}));
    } else {
        output::note(&text);
    }
    Ok(if is_led { Exit::Failed } else { Exit::Away })
}

/// Whether a monitor is there to act, and what holds things.
async fn reasons(access: &Access) -> (bool, Vec<String>) {
    let row = access.store.monitors().await.unwrap_or_default();
    let Some(leader) = row.first() else {
        let why = "no monitor runs to carry it out; start `skein run monitor`";
        return (false, vec![why.to_owned()]);
    };
    match access.figures().await {
        Ok(fleet) if !fleet.plan.held.is_empty() => {
            (true, fleet.plan.held.into_iter().map(|held| held.why).collect())
        }
        Ok(fleet) if !fleet.plan.moves.is_empty() => {
            let moves = fleet.plan.moves.iter();
            (true, moves.map(|m| format!("{} {}: {}", m.change, m.queue, m.why)).take(8).collect())
        }
        Ok(_) => (true, vec!["nothing holds it; the leading monitor is at it".to_owned()]),
        // Who died a moment ago stands in the row until its session ends.
        Err(_) => {
            let at = &access.monitor;
            (
                false,
                vec![format!(
                    "no monitor answers at {at}, and {leader}, which should lead, may be dead or frozen; see that `skein run monitor` runs"
                )],
            )
        }
    }
}
