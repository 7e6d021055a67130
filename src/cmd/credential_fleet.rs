//! `skein credential list --fleet` and `rotate --to|--back`: the credentials of a whole fleet, by its live settings.

mod topics;

use std::collections::BTreeMap;

use serde_json::json;
use skein_backends::zookeeper::LiveVersion;
use skein_config::{Config, Credential, CredentialKind};

use super::live::{Access, Change};
use crate::args::{Common, Rotate};
use crate::exit::{Exit, Failure};
use crate::output::Output;

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
                topics::some(&report.topics),
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
        let (named, from) = earlier(&access.history().await?, &now, &prefix).map_err(Failure::Usage)?;
        let (what, version) = match from {
            Some(version) => (format!("as in version {version}"), json!(version)),
            None => ("as its files say, which was before the first version".to_owned(), json!("files")),
        };
        output.line(format!("{}: back to the credential {what}", asked.pool), &json!({"back_to": version}));
        next.extend(named);
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

/// The live settings of a pool's credential before those it has now, and the version that had them; none if that was before the
/// first version, when the files alone said.
///
/// # Errors
/// Why it is not known: the versions that say are not kept any more.
fn earlier(
    history: &[LiveVersion],
    now: &BTreeMap<String, String>,
    prefix: &str,
) -> Result<(BTreeMap<String, String>, Option<u64>), String> {
    let of_pool = |settings: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let named = settings.iter().filter(|(key, _)| key.starts_with(prefix));
        named.map(|(key, text)| (key.clone(), text.clone())).collect()
    };
    let now = of_pool(now);
    // What can't be read nobody went by.
    let read = history.iter().filter_map(|kept| Some((kept.version, kept.document.as_ref().ok()?)));
    for (version, document) in read {
        let named = of_pool(&document.settings);
        if named != now {
            return Ok((named, Some(version)));
        }
    }
    match history.last() {
        Some(oldest) if oldest.version > 1 => Err(format!(
            "the credential before this one is not known: it has not changed since version {}, and earlier ones are not kept; \
             name the credential with --to, or take its live settings out with `skein config live set --unset` to go by the files",
            oldest.version
        )),
        _ => Ok((BTreeMap::new(), None)),
    }
}

#[cfg(test)]
mod tests {
    use skein_backends::zookeeper::LiveDocument;

    use super::*;

    const PREFIX: &str = "pools.im.credential.";

    fn settings(key: Option<&str>) -> BTreeMap<String, String> {
        let mut settings = BTreeMap::from([("log.level".to_owned(), "debug".to_owned())]);
        settings.extend(key.map(|key| (format!("{PREFIX}key_file"), key.to_owned())));
        settings
    }

    /// Versions, the newest first.
    fn history(versions: &[(u64, Option<&str>)]) -> Vec<LiveVersion> {
        let version = |&(version, key)| {
            let document = LiveDocument { settings: settings(key), ..LiveDocument::default() };
            LiveVersion { version, document: Ok(document) }
        };
        versions.iter().map(version).collect()
    }

    fn back(versions: &[(u64, Option<&str>)]) -> Result<(Option<String>, Option<u64>), String> {
        let now = settings(versions.first().and_then(|(_, key)| *key));
        let (named, version) = earlier(&history(versions), &now, PREFIX)?;
        assert!(named.keys().all(|key| key.starts_with(PREFIX)), "only the pool's credential: {named:?}");
        Ok((named.into_values().next(), version))
    }

    #[test]
    fn back_is_what_was_there_before_the_latest_change() {
        let versions = [(9, Some("c")), (8, Some("c")), (7, Some("b")), (6, Some("a"))];
        assert_eq!(back(&versions), Ok((Some("b".to_owned()), Some(7))));
        assert_eq!(back(&[(9, Some("c")), (8, None)]), Ok((None, Some(8))));
        assert_eq!(
            back(&[(2, Some("a")), (1, Some("a"))]),
            Ok((None, None)),
            "before the first there were the files"
        );
    }

    #[test]
    fn back_to_what_is_not_kept_is_refused() {
        let kept: Vec<(u64, Option<&str>)> = (10..60).rev().map(|version| (version, Some("new"))).collect();
        assert!(back(&kept).unwrap_err().contains("since version 10"));
        let mut torn = history(&[(9, Some("c")), (8, Some("b")), (7, Some("a"))]);
        torn[1].document = Err("torn".to_owned());
        let (named, version) = earlier(&torn, &settings(Some("c")), PREFIX).unwrap();
        assert_eq!((named.into_values().next().as_deref(), version), (Some("a"), Some(7)));
    }
}
