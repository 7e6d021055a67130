//! `skein config live …`: the live settings of a fleet, checked before they are written.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use serde_json::json;
use skein_backends::zookeeper::{LiveDocument, LiveVersion};
use skein_config::{Config, Files};

use super::super::live::{Access, Change, Fleet};
use super::super::{load_for, small_runtime};
use crate::args::{Common, Live};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Does what was asked for.
pub fn run(common: &Common, command: &Live, output: Output) -> Result<Exit, Failure> {
    let config = load_for(common, Files::None)?.config;
    small_runtime()?.block_on(act(common, &config, command, output))
}

async fn act(common: &Common, config: &Config, command: &Live, output: Output) -> Result<Exit, Failure> {
    let access = Access::begin(config)?;
    match command {
        Live::Show => {
            let (latest, fleet) = tokio::try_join!(access.latest(), access.fleet())?;
            show(&latest, &fleet, output);
            Ok(if fleet.has_trouble(latest.version) { Exit::Failed } else { Exit::Done })
        }
        Live::Diff { from, to } => {
            let latest = access.latest().await?.version;
            let to = to.unwrap_or(latest);
            let from = from.unwrap_or(to.saturating_sub(1));
            let (from, to) = tokio::try_join!(access.version(from), access.version(to))?;
            let changes = changes(&from.settings, &to.settings);
            output.table(["setting", "before", "after"], &changes.rows(), &changes.values());
            Ok(Exit::Done)
        }
        Live::History => {
            let versions = access.history().await?;
            let rows: Vec<[String; 5]> = versions.iter().map(row).collect();
            let values: Vec<_> = versions.iter().map(value).collect();
            output.table(["version", "at", "author", "settings", "reason"], &rows, &values);
            Ok(Exit::Done)
        }
        Live::Set { settings, unset, change } => {
            let latest = access.latest().await?;
            let mut next = latest.document.clone().map_err(|why| unreadable(latest.version, &why))?.settings;
            for text in settings {
                let (key, value) = text
                    .split_once('=')
                    .ok_or_else(|| Failure::Usage(format!("{text:?} has no '='; write KEY=VALUE")))?;
                next.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            for key in unset {
                if next.remove(key).is_none() {
                    return Err(Failure::Usage(format!(
                        "{key} is no live setting now; see `skein config live show`"
                    )));
                }
            }
            Change { common, latest: &latest, next, with: change }.make(&access, output).await
        }
        Live::Rollback { version, change } => {
            let latest = access.latest().await?;
            let back = version.unwrap_or(latest.version.saturating_sub(1));
            if back >= latest.version {
                let why = format!("version {back} is not before the latest, which is {}", latest.version);
                return Err(Failure::Usage(why));
            }
            let next = access.version(back).await?.settings;
            Change { common, latest: &latest, next, with: change }.make(&access, output).await
        }
    }
}

fn unreadable(version: u64, why: &str) -> Failure {
    Failure::Failed(anyhow!(
        "version {version} can't be read ({why}): roll back to one that can, see `skein config live history`"
    ))
}

/// What is different, by key.
pub struct Changes<'a>(BTreeMap<&'a str, (Option<&'a str>, Option<&'a str>)>);

/// What is different between two sets of live settings.
pub fn changes<'a>(from: &'a BTreeMap<String, String>, to: &'a BTreeMap<String, String>) -> Changes<'a> {
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let both = |key: &'a String| (from.get(key).map(String::as_str), to.get(key).map(String::as_str));
    Changes(keys.into_iter().map(|key| (key.as_str(), both(key))).filter(|(_, (a, b))| a != b).collect())
}

impl Changes<'_> {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For a table.
    pub fn rows(&self) -> Vec<[String; 3]> {
        let text = |value: &Option<&str>| {
            value.map_or("-", |value| if value.is_empty() { "(none)" } else { value }).to_owned()
        };
        self.0.iter().map(|(key, (from, to))| [(*key).to_owned(), text(from), text(to)]).collect()
    }

    /// For JSON.
    pub fn values(&self) -> Vec<serde_json::Value> {
        self.0.iter().map(|(key, (from, to))| json!({"key": key, "before": from, "after": to})).collect()
    }
}

fn show(latest: &LiveVersion, fleet: &Fleet, output: Output) {
    let (summary, troubles) = fleet.summary(latest.version);
    if output.is_json() {
        let mut value = value(latest);
        value["summary"] = json!(summary);
        value["processes"] = json!(fleet.processes);
        value["silent"] = json!(fleet.silent);
        return output.line("", &value);
    }
    match &latest.document {
        Err(why) => output.line(format!("version {} can't be read: {why}", latest.version), &()),
        Ok(_) if latest.version == 0 => output.line("nothing is set live", &()),
        Ok(LiveDocument { settings, author, reason, at }) => {
            let at = at.map(|at| format!(", {at}")).unwrap_or_default();
            output.line(format!("version {} by {author}{at}: {reason}", latest.version), &());
            for (key, text) in settings {
                output.line(format!("  {key} = {text}"), &());
            }
        }
    }
    output.line(summary, &());
    for trouble in troubles {
        output.line(format!("! {trouble}"), &());
    }
}

fn row(version: &LiveVersion) -> [String; 5] {
    let number = version.version.to_string();
    match &version.document {
        Err(why) => [number, "-".into(), "-".into(), "-".into(), why.clone()],
        Ok(LiveDocument { settings, author, reason, at }) => {
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            [number, at, author.clone(), settings.len().to_string(), reason.clone()]
        }
    }
}

fn value(version: &LiveVersion) -> serde_json::Value {
    match &version.document {
        Err(why) => json!({"version": version.version, "unreadable": why}),
        Ok(LiveDocument { settings, author, reason, at }) => json!({
            "version": version.version, "settings": settings, "author": author, "reason": reason,
            "at": at.map(|at| at.to_string()),
        }),
    }
}
