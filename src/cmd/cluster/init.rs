//! Making what is missing: looks, says each step, does it, and looks again until there is none.

use serde_json::json;
use skein_provision::{Cluster, Credentials, Kind, ProvisionError, Step};

use super::admin::{Admin, failure};
use super::logins;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The most rounds: rights are of things that the round before has made.
const ROUNDS_MAX: usize = 4;

/// Makes it all, or says what would be made.
pub async fn run(admin: &Admin, dry_run: bool, output: Output) -> Result<Exit, Failure> {
    let Admin { cluster, credentials, .. } = admin;
    let mut made = 0;
    let mut troubles = 0;
    for _ in 0..ROUNDS_MAX {
        let (did, trouble) = round(admin, cluster, credentials, dry_run, output).await.map_err(failure)?;
        made += did;
        troubles = trouble;
        if dry_run || did == 0 {
            break;
        }
    }
    let said = match (dry_run, made) {
        (_, 0) => "nothing to do".to_owned(),
        (true, steps) => format!("{steps} steps to do; rights of what is made first are seen then"),
        (false, steps) => format!("{steps} steps done"),
    };
    let trouble =
        if troubles == 0 { String::new() } else { format!("; {troubles} differences need an operator (!)") };
    let word = if dry_run { "to_do" } else { "done" };
    output.line(format!("{said}{trouble}"), &json!({word: made, "troubles": troubles}));
    if !dry_run {
        logins::tell(cluster, credentials, admin.coordinator.is_some(), output);
    }
    Ok(if troubles > 0 { Exit::Failed } else { Exit::Done })
}

/// One look at everything, and what it finds done: how many steps, and how many that nobody here can do.
async fn round(
    admin: &Admin,
    cluster: &Cluster,
    credentials: &Credentials,
    dry_run: bool,
    output: Output,
) -> Result<(usize, usize), ProvisionError> {
    let (mut made, mut troubles) = (0, 0);
    let mut tell = |step: &Step| {
        output.line(step, &json!(step));
        if step.kind == Kind::Trouble { troubles += 1 } else { made += 1 }
    };
    for (step, deed) in admin.broker.look(cluster, credentials).await? {
        tell(&step);
        if !dry_run {
            admin.broker.apply(cluster, credentials, &deed).await?;
        }
    }
    for (step, deed) in admin.ledger.look(cluster, credentials).await? {
        tell(&step);
        if !dry_run {
            admin.ledger.apply(cluster, credentials, &deed).await?;
        }
    }
    if let Some(coordinator) = &admin.coordinator {
        let (steps, nodes): (Vec<_>, Vec<_>) =
            coordinator.look(cluster, credentials).await?.into_iter().unzip();
        steps.iter().for_each(tell);
        if !dry_run && !nodes.is_empty() {
            coordinator.apply(cluster, credentials, &nodes).await?;
        }
    }
    Ok((made, troubles))
}
