//! Each role tries what it must not do.

use serde_json::json;
use skein_provision::{Finding, Proved, probe_broker, probe_coordinator, probe_ledger};

use super::admin::{Admin, failure};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Tries everything; ends with 1 if anything is not as it must be.
pub async fn run(admin: &Admin, output: Output) -> Result<Exit, Failure> {
    let Admin { cluster, credentials, link, management, database, zookeeper, .. } = admin;
    let mut findings = probe_broker(cluster, credentials, link, management).await.map_err(failure)?;
    findings.extend(probe_ledger(cluster, credentials, database).await.map_err(failure)?);
    if let Some(zookeeper) = zookeeper {
        findings.extend(probe_coordinator(cluster, credentials, zookeeper).await.map_err(failure)?);
    }
    let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
    for finding in &findings {
        // Text is for people: what is as it must be is counted.
        if output.is_json() || !finding.is_right() {
            output.line(words(finding), &json!(finding));
        }
    }
    let [refused, allowed, forbidden] = [Proved::Refused, Proved::Allowed, Proved::Forbidden].map(count);
    let other = count(Proved::Lacking) + count(Proved::Unclear);
    output.line(
        format!(
            "{refused} forbidden operations tried and refused, {forbidden} succeeded; {allowed} needed ones allowed, {other} not"
        ),
        &json!({"refused": refused, "forbidden": forbidden, "allowed": allowed, "other": other}),
    );
    Ok(if findings.iter().all(Finding::is_right) { Exit::Done } else { Exit::Failed })
}

fn words(finding: &Finding) -> String {
    let Finding { service, who, what, outcome, why } = finding;
    let outcome = match outcome {
        Proved::Refused => "refused",
        Proved::Allowed => "allowed",
        Proved::Forbidden => "SUCCEEDS AND MUST NOT: run `skein cluster init`",
        Proved::Lacking => "is refused and must not be: run `skein cluster init`",
        Proved::Unclear => "is answered in another way",
    };
    let why = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{:10}  {who}: {what}: {outcome}{why}", service.label())
}
