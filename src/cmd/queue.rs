//! `skein queue …`: the queues of a cluster, and what operators want of them.

use std::collections::BTreeMap;

use serde_json::json;
use skein_config::Config;
use skein_core::fleet::{Change, Owner, QueueAssignment, Wanted, Wish};
use skein_core::plan::Move;
use skein_core::seam::FleetView;
use skein_core::{PoolName, QueueName};
use skein_health_monitor::api::QueueState;

use super::fleet::{Access, Cells, Goal, Seen, follow, fulfil, known_member, known_queue, no_pool};
use super::fleet::{because, or_dash, rehearse, remark, span, standing};
use crate::args::{OneQueue, Queue};
use crate::exit::{Exit, Failure};
use crate::output::{self, Output};

const HEAD: [&str; 8] = ["QUEUE", "OWNER", "EPOCH", "STATE", "DEPTH", "OLDEST", "IN/S", "OUT/S"];

/// Does what was asked for.
pub fn run(config: &Config, command: &Queue, output: Output) -> Result<Exit, Failure> {
    super::small_runtime()?.block_on(act(config, command, output))
}

async fn act(config: &Config, command: &Queue, output: Output) -> Result<Exit, Failure> {
    match command {
        Queue::List { pool, follow: how, monitor } => {
            let pool = pool.as_deref().map(PoolName::parse).transpose();
            let pool = pool.map_err(|error| Failure::Usage(format!("--pool: {error}")))?;
            let access = Access::begin(config, monitor)?;
            follow(&access, how, output, |seen| list(seen, pool.as_ref())).await
        }
        Queue::Show { queue, monitor } => {
            let seen = Access::begin(config, monitor)?.see().await?;
            show(&seen, queue, output)
        }
        Queue::Pause(one) => {
            let wanted = Wanted::Pause { queue: one.queue.clone() };
            of_queue(config, one, wanted, output, |q| q.paused).await
        }
        Queue::Resume(one) => {
            let wanted = Wanted::Resume { queue: one.queue.clone() };
            of_queue(config, one, wanted, output, |q| !q.paused).await
        }
        Queue::Move { queue, to, remark: said, wait } => {
            let access = Access::begin(config, &wait.monitor)?;
            let view = access.view().await?;
            known_queue(&view, queue)?;
            known_member(&view, to)?;
            let wanted = Wanted::Move { queue: queue.clone(), to: to.clone() };
            let arrived = |q: &QueueAssignment| q.owner.as_ref().is_some_and(|owner| owner.member == *to);
            let reached = |view: &FleetView| assignment(view, queue).is_some_and(arrived);
            fulfil(&access, wanted, Goal { because: remark(said), reached }, wait, output).await
        }
        Queue::Rebalance { dry_run: true, wait, .. } => {
            let seen = Access::begin(config, &wait.monitor)?.see().await?;
            dry_run(&seen, output)
        }
        Queue::Rebalance { release_hold, remark: said, wait, .. } => {
            let access = Access::begin(config, &wait.monitor)?;
            let wanted = if *release_hold { Wanted::ReleaseHold } else { Wanted::Rebalance };
            // Nothing of the queues shows that these are done, but that the monitor takes the wish away.
            let reached = |_: &FleetView| false;
            let exit = fulfil(&access, wanted, Goal { because: remark(said), reached }, wait, output).await?;
            let leaving =
                access.view().await?.queues.iter().filter(|q| q.assignment.successor.is_some()).count();
            if leaving > 0 && !output.is_json() {
                output::note(&format!(
                    "{leaving} on their way; `skein queue list --watch` shows them arrive"
                ));
            }
            Ok(exit)
        }
    }
}

async fn of_queue(
    config: &Config,
    OneQueue { queue, reason, wait }: &OneQueue,
    wanted: Wanted,
    output: Output,
    is_so: impl Fn(&QueueAssignment) -> bool,
) -> Result<Exit, Failure> {
    let access = Access::begin(config, &wait.monitor)?;
    known_queue(&access.view().await?, queue)?;
    let reached = |view: &FleetView| assignment(view, queue).is_some_and(&is_so);
    fulfil(&access, wanted, Goal { because: because(reason), reached }, wait, output).await
}

/// Which operator's word pauses it, if it stands: what a monitor of an older version paused has none.
fn paused<'a>(q: &QueueAssignment, view: &'a FleetView) -> Option<&'a Wish> {
    standing(view, &Wanted::Pause { queue: q.queue.clone() }).filter(|_| q.paused)
}

/// By whom, since when and why it is paused.
fn whose_pause(q: &QueueAssignment, view: &FleetView) -> String {
    let unknown = || "by an operator; see `skein config live history`".to_owned();
    paused(q, view).map_or_else(unknown, Wish::whose)
}

fn assignment<'a>(view: &'a FleetView, queue: &QueueName) -> Option<&'a QueueAssignment> {
    view.queues.iter().map(|q| &q.assignment).find(|q| q.queue == *queue)
}

/// How a queue stands, by what ZooKeeper holds.
fn state(q: &QueueAssignment, view: &FleetView) -> QueueState {
    let lives = |owner: &Owner| view.members.iter().any(|member| member.owner() == *owner);
    QueueState::of(q, q.owner.as_ref().is_some_and(lives))
}

fn list(seen: &Seen, pool: Option<&PoolName>) -> Result<Cells<8>, Failure> {
    let of_pool = |q: &&QueueAssignment| pool.is_none_or(|pool| q.queue.pool == *pool);
    let all: Vec<&QueueAssignment> = seen.view.queues.iter().map(|q| &q.assignment).filter(of_pool).collect();
    if let (Some(pool), true) = (pool, all.is_empty()) {
        return Err(Failure::Usage(no_pool(&seen.view, pool)));
    }
    let mut notes = Vec::new();
    notes.extend(seen.figures.as_ref().err().cloned());
    if all.is_empty() {
        notes.push("no queue is known yet; a monitor makes them when it runs first".to_owned());
    }
    notes.extend(seen.alarms());
    if let Ok(fleet) = &seen.figures {
        notes.extend(
            fleet.plan.held.iter().filter(|held| !held.alarms).map(|held| format!("held: {}", held.why)),
        );
    }
    let held = all.iter().filter(|q| q.paused);
    notes.extend(held.map(|q| format!("{} is paused {}", q.queue, whose_pause(q, &seen.view))));
    let rate = |rate: Option<f64>| or_dash(rate.map(|r| format!("{r:.0}")));
    let row = |q: &QueueAssignment| {
        let figure = seen.figure(&q.queue);
        let owner = match (&q.owner, &q.successor) {
            (Some(owner), Some(next)) => format!("{} → {next}", owner.member),
            (Some(owner), None) => owner.member.to_string(),
            (None, _) => "-".to_owned(),
        };
        [
            q.queue.to_string(),
            owner,
            q.epoch.to_string(),
            state(q, &seen.view).label().to_owned(),
            or_dash(figure.and_then(|f| f.depth)),
            or_dash(figure.and_then(|f| f.oldest_ms).map(span)),
            rate(figure.and_then(|f| f.in_per_second)),
            rate(figure.and_then(|f| f.out_per_second)),
        ]
    };
    Ok(Cells {
        head: HEAD,
        rows: all.iter().map(|q| row(q)).collect(),
        notes,
        values: all.iter().map(|q| value(q, seen)).collect(),
    })
}

/// A queue as JSON: the words of the monitor's API.
fn value(q: &QueueAssignment, seen: &Seen) -> serde_json::Value {
    let figure = seen.figure(&q.queue);
    json!({
        "queue": q.queue,
        "state": state(q, &seen.view).label(),
        "owner": q.owner.as_ref().map(|owner| &owner.member),
        "incarnation": q.owner.as_ref().map(|owner| owner.incarnation),
        "epoch": q.epoch,
        "cause": q.cause,
        "successor": q.successor,
        "paused": q.paused,
        "pause": paused(q, &seen.view),
        "prefetch": q.prefetch,
        "ready": figure.and_then(|f| f.ready),
        "unacked": figure.and_then(|f| f.unacked),
        "depth": figure.and_then(|f| f.depth),
        "oldest_ms": figure.and_then(|f| f.oldest_ms),
        "in_per_second": figure.and_then(|f| f.in_per_second),
        "out_per_second": figure.and_then(|f| f.out_per_second),
    })
}

fn show(seen: &Seen, queue: &QueueName, output: Output) -> Result<Exit, Failure> {
    known_queue(&seen.view, queue)?;
    let Some(q) = assignment(&seen.view, queue) else { return Ok(Exit::Failed) };
    let figure = seen.figure(queue);
    let wishes: Vec<_> = seen.view.wishes.iter().filter(|wish| concerns(&wish.wanted, queue)).collect();
    let fleet = seen.figures.as_ref().ok();
    let planned: Vec<_> =
        fleet.iter().flat_map(|fleet| &fleet.plan.moves).filter(|m| m.queue == *queue).collect();
    let done: Vec<_> = fleet
        .iter()
        .flat_map(|fleet| &fleet.done)
        .filter(|done| done.change.queue == *queue)
        .take(5)
        .collect();
    let mut lines = vec![
        ("queue", queue.to_string()),
        ("state", state(q, &seen.view).label().to_owned()),
        ("owner", or_dash(q.owner.as_ref().map(|o| format!("{} (life {})", o.member, o.incarnation)))),
        ("epoch", format!("{} ({})", q.epoch, q.cause)),
        ("successor", or_dash(q.successor.as_ref())),
        ("prefetch", q.prefetch.to_string()),
        ("depth", or_dash(figure.and_then(|f| f.depth))),
        ("unacked", or_dash(figure.and_then(|f| f.unacked))),
        ("oldest", or_dash(figure.and_then(|f| f.oldest_ms).map(span))),
        ("in/s", or_dash(figure.and_then(|f| f.in_per_second).map(|r| format!("{r:.1}")))),
        ("out/s", or_dash(figure.and_then(|f| f.out_per_second).map(|r| format!("{r:.1}")))),
    ];
    if q.paused {
        lines.push(("paused", whose_pause(q, &seen.view)));
    }
    let waits = |wish: &&&Wish| paused(q, &seen.view) != Some(**wish);
    lines.extend(
        wishes.iter().filter(waits).map(|wish| ("wish", format!("{} {}", wish.wanted, wish.whose()))),
    );
    lines.extend(planned.iter().map(|m| ("planned", format!("{}: {}", m.change, m.why))));
    lines.extend(done.iter().map(|d| ("done", format!("{} {}: {}", d.at, d.change.change, d.change.why))));
    lines.extend(seen.figures.as_ref().err().map(|why| ("note", why.clone())));
    let text: Vec<String> = lines.iter().map(|(name, value)| format!("{name:10} {value}")).collect();
    let mut whole = value(q, seen);
    whole["wishes"] = json!(wishes);
    whole["planned"] = json!(planned);
    whole["done"] = json!(done);
    output.line(text.join("\n"), &whole);
    Ok(Exit::Done)
}

fn concerns(wanted: &Wanted, queue: &QueueName) -> bool {
    match wanted {
        Wanted::Pause { queue: q } | Wanted::Resume { queue: q } | Wanted::Move { queue: q, .. } => {
            q == queue
        }
        Wanted::Drain { .. } | Wanted::Undrain { .. } | Wanted::Rebalance | Wanted::ReleaseHold => false,
    }
}

fn dry_run(seen: &Seen, output: Output) -> Result<Exit, Failure> {
    let (plan, _) = rehearse(seen, Wanted::Rebalance);
    let word = |m: &Move| match m.change {
        Change::Ask { .. } => "ask",
        Change::Assign { .. } => "assign",
        Change::Withdraw => "withdraw",
        Change::Pause => "pause",
        Change::Resume => "resume",
        _ => "change",
    };
    let row = |m: &Move| {
        [
            m.queue.to_string(),
            word(m).to_owned(),
            or_dash(m.from.as_ref().map(|owner| &owner.member)),
            or_dash(m.to()),
            or_dash(m.cause),
            m.why.clone(),
        ]
    };
    let value = |m: &Move| {
        json!({"queue": m.queue, "change": word(m), "from": m.from.as_ref().map(|o| &o.member), "to": m.to(),
               "cause": m.cause, "why": m.why, "epoch": m.epoch})
    };
    let rows: Vec<_> = plan.moves.iter().map(row).collect();
    let values: Vec<_> = plan.moves.iter().map(value).collect();
    if output.is_json() {
        let held: Vec<_> = plan.held.iter().map(|h| json!({"what": h.what.label(), "why": h.why})).collect();
        output.line("", &json!({"moves": values, "held": held, "loads": loads(seen)}));
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        output.raw("nothing would move: the load is even\n");
    } else {
        output.table(["QUEUE", "CHANGE", "FROM", "TO", "CAUSE", "WHY"], &rows, &values);
        let most = seen.view.policy.balance_moves_max;
        output.raw(&format!(
            "nothing was changed; at most {most} queues are on their way at once, further ones follow\n"
        ));
    }
    plan.held.iter().for_each(|held| output.raw(&format!("held: {}\n", held.why)));
    if seen.figures.is_err() {
        output.raw("no monitor answers, so every queue counts the same: with measured loads it may differ\n");
    }
    Ok(Exit::Done)
}

/// How many queues each member owns.
fn loads(seen: &Seen) -> BTreeMap<String, usize> {
    let mut loads: BTreeMap<String, usize> =
        seen.view.members.iter().map(|member| (member.id.to_string(), 0)).collect();
    for owner in seen.view.queues.iter().filter_map(|q| q.assignment.owner.as_ref()) {
        *loads.entry(owner.member.to_string()).or_default() += 1;
    }
    loads
}
