//! `skein credential list --fleet` and `rotate --to|--back`: the credentials of a whole fleet, by its live settings.

use serde_json::json;
use skein_config::{Config, Credential, CredentialKind};

use super::live::{Access, Change};
use crate::args::{Common, Rotate};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The most characters of topics in a cell of a table; the first topic stands there whole.
const TOPICS_CHARS_MAX: usize = 40;

/// What every sender says of each pool's credential.
pub async fn list(config: &Config, output: Output) -> Result<Exit, Failure> {
    let access = Access::begin(config)?;
    let (latest, fleet, members) = tokio::try_join!(access.latest(), access.fleet(), access.members())?;
    let (mut rows, mut values, mut well) = (Vec::new(), Vec::new(), true);
    for member in &members {
        for (pool, report) in &member.report.credentials {
            let valid = match (&report.expires_at, report.days_left) {
                (Some(end), Some(days)) => format!("until {end}, {days} days left"),
                _ if report.kind.is_some() => "without end".to_owned(),
                _ => "-".to_owned(),
            };
            let trouble = report.trouble.clone().or_else(|| report.paused.clone());
            well &= trouble.is_none() && report.state != "none";
            rows.push([
                pool.to_string(),
                member.id.to_string(),
                report.state.clone(),
                report.kind.clone().unwrap_or_else(|| "-".to_owned()),
                if report.environment.is_empty() { "-".to_owned() } else { report.environment.clone() },
                some(&report.topics),
                valid,
                trouble.unwrap_or_default(),
            ]);
            values.push(json!({"pool": pool, "sender": member.id, "credential": report}));
        }
    }
    let (summary, troubles) = fleet.summary(latest.version);
    values.push(json!({"version": latest.version, "summary": summary, "troubles": troubles}));
    let head = ["pool", "sender", "state", "kind", "environment", "topics", "valid", "trouble"];
    output.table(head, &rows, &values);
    if !output.is_json() {
        let lines: Vec<String> = std::iter::once(format!("live settings: {summary}"))
            .chain(troubles.iter().map(|trouble| format!("! {trouble}")))
            .collect();
        output.raw(&format!("{}\n", lines.join("\n")));
    }
    Ok(if well && !fleet.has_trouble(latest.version) { Exit::Done } else { Exit::Failed })
}

/// Topics in a cell: as many as fit, and how many more there are.
fn some(topics: &[String]) -> String {
    let mut cell = match topics {
        [] => return "-".to_owned(),
        [first, ..] => first.clone(),
    };
    let mut shown = 1;
    for topic in &topics[1..] {
        if cell.chars().count() + topic.chars().count() + 2 > TOPICS_CHARS_MAX {
            break;
        }
        cell = format!("{cell}, {topic}");
        shown += 1;
    }
    match topics.len() - shown {
        0 => cell,
        more => format!("{cell} and {more} more"),
    }
}

/// Tells the fleet of another credential.
pub async fn rotate(
    common: &Common,
    config: &Config,
    asked: &Rotate,
    output: Output,
) -> Result<Exit, Failure> {
    let Some(with) = &asked.change else {
        return Err(Failure::Usage("say why with --reason: it stands in the history".to_owned()));
    };
    let Some(pool) = config.pools.get(&asked.pool) else {
        let known: Vec<&str> = config.pools.keys().map(String::as_str).collect();
        let why = format!("there is no pool {:?}; there are: {}", asked.pool, known.join(", "));
        return Err(Failure::Usage(why));
    };
    let access = Access::begin(config)?;
    let latest = access.latest().await?;
    let prefix = format!("pools.{}.credential.", asked.pool);
    let mut next = latest.document.clone().map_err(Failure::Usage)?.settings;
    let now = next.clone();
    next.retain(|key, _| !key.starts_with(&prefix));
    if asked.back {
        let of_pool = |settings: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
            let named = settings.iter().filter(|(key, _)| key.starts_with(&prefix));
            named.map(|(key, text)| (key.clone(), text.clone())).collect()
        };
        let history = access.history().await?;
        let versions = history.iter().filter_map(|version| version.document.as_ref().ok());
        let before =
            versions.map(|document| of_pool(&document.settings)).find(|named| *named != of_pool(&now));
        // Before the first version there is what the files say.
        next.extend(before.unwrap_or_default());
    } else {
        let mut kind = match pool.credential {
            Credential::Token { .. } => CredentialKind::Token,
            Credential::Certificate { .. } => CredentialKind::Certificate,
        };
        for text in &asked.to {
            let Some((name, value)) = text.split_once('=') else {
                return Err(Failure::Usage(format!(
                    "{text:?} has no '='; write NAME=VALUE, such as key_file=/etc/skein/new.p8"
                )));
            };
            if name == "kind" {
                kind =
                    if value == "certificate" { CredentialKind::Certificate } else { CredentialKind::Token };
            }
            next.insert(format!("{prefix}{name}"), value.to_owned());
        }
        // What the files say of a credential of the other kind does not belong to it.
        let foreign: &[&str] = match kind {
            CredentialKind::Token => &["file", "password_file", "password_env"],
            CredentialKind::Certificate => &["key_file", "key_id", "team_id", "environments", "topics"],
        };
        for name in foreign {
            next.entry(format!("{prefix}{name}")).or_default();
        }
    }
    Change { common, latest: &latest, next, with }.make(&access, output).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_as_many_topics_as_fit() {
        let cell =
            |topics: &[&str]| some(&topics.iter().map(|topic| (*topic).to_owned()).collect::<Vec<_>>());
        assert_eq!(cell(&[]), "-", "an older sender's word, or none");
        assert_eq!(cell(&["com.example.im"]), "com.example.im");
        assert_eq!(cell(&["com.example.im", "com.example.im.voip"]), "com.example.im, com.example.im.voip");
        let many =
            ["com.example.im", "com.example.im.voip", "com.example.im.complication", "com.example.im.x"];
        assert_eq!(cell(&many), "com.example.im, com.example.im.voip and 2 more");
        let long = "a".repeat(60);
        assert_eq!(cell(&[&long, "b"]), format!("{long} and 1 more"));
    }
}
