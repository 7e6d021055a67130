//! `skein config live …`: the live settings of a fleet, checked before they are written.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use serde_json::json;
use skein_backends::zookeeper::{LiveDocument, LiveVersion};
use skein_config::{Config, Files};
use skein_core::fleet::Decision;

use super::super::live::{Access, Change, Fleet};
use super::super::{load_for, small_runtime};
use crate::args::{Common, Live};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Does what was asked for.
pub fn run(common: &Common, command: &Live, output: Output) -> Result<Exit, Failure> {
    let config = load_for(common, Files::NONE)?.config;
    small_runtime()?.block_on(act(common, &config, command, output))
}

async fn act(common: &Common, config: &Config, command: &Live, output: Output) -> Result<Exit, Failure> {
    let access = Access::begin(config)?;
    match command {
        Live::Show => {
            let (latest, fleet) = tokio::try_join!(access.latest(), access.fleet())?;
            Ok(show(&latest, &fleet, output))
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
            let (versions, decisions) = tokio::try_join!(access.history(), access.decisions())?;
            let (rows, values): (Vec<_>, Vec<_>) = told(&versions, &decisions).into_iter().unzip();
            output.table(["version", "at", "author", "what", "reason"], &rows, &values);
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

    /// Of which settings.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().copied()
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

fn show(latest: &LiveVersion, fleet: &Fleet, output: Output) -> Exit {
    let (summary, mut troubles) = fleet.summary(latest.version);
    let set = latest.document.iter().flat_map(|document| document.settings.keys());
    troubles.extend(fleet.unheard(set.map(String::as_str)));
    let exit = if troubles.is_empty() { Exit::Done } else { Exit::Failed };
    if output.is_json() {
        let mut value = value(latest);
        value["summary"] = json!(summary);
        value["processes"] = json!(fleet.processes);
        value["silent"] = json!(fleet.silent);
        value["troubles"] = json!(troubles);
        output.line("", &value);
        return exit;
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
    exit
}

/// What a fleet was told, the latest first: each kind in its own order, and between them by the clocks of who told it.
fn told(versions: &[LiveVersion], decisions: &[Decision]) -> Vec<([String; 5], serde_json::Value)> {
    let at = |version: &LiveVersion| version.document.as_ref().ok().and_then(|document| document.at);
    let (mut versions, mut decisions) = (versions.iter().peekable(), decisions.iter().peekable());
    let mut told = Vec::new();
    loop {
        let decision = decisions.next_if(|decision| {
            versions.peek().is_none_or(|version| at(version).is_some_and(|at| decision.at > at))
        });
        if let Some(decision) = decision {
            told.push((row_of_decision(decision), value_of_decision(decision)));
        } else if let Some(version) = versions.next() {
            told.push((row(version), value(version)));
        } else {
            return told;
        }
    }
}

fn row_of_decision(Decision { by, at, reason, decided }: &Decision) -> [String; 5] {
    let why = if reason.is_empty() { "-" } else { reason };
    ["-".into(), at.to_string(), by.clone(), decided.to_string(), why.to_owned()]
}

/// By the names that a version's value has.
fn value_of_decision(Decision { by, at, reason, decided }: &Decision) -> serde_json::Value {
    json!({"version": null, "decided": decided, "author": by, "reason": reason, "at": at.to_string()})
}

fn row(version: &LiveVersion) -> [String; 5] {
    let number = version.version.to_string();
    match &version.document {
        Err(why) => [number, "-".into(), "-".into(), "-".into(), why.clone()],
        Ok(LiveDocument { settings, author, reason, at }) => {
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            let what = match settings.len() {
                1 => "1 setting".to_owned(),
                n => format!("{n} settings"),
            };
            [number, at, author.clone(), what, reason.clone()]
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

#[cfg(test)]
mod tests {
    use skein_core::Timestamp;
    use skein_core::fleet::{Decided, Wanted};

    use super::*;

    #[test]
    fn settings_and_decisions_are_one_history() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let version = |version, seconds: Option<i64>| LiveVersion {
            version,
            document: Ok(LiveDocument { at: seconds.map(at), ..LiveDocument::default() }),
        };
        let decision = |reason: &str, seconds| Decision {
            by: "ops".to_owned(),
            at: at(seconds),
            reason: reason.to_owned(),
            decided: Decided::Wish(Wanted::Rebalance),
        };
        let versions = [version(3, Some(50)), version(2, None), version(1, Some(10))];
        let decisions = [decision("late", 60), decision("between", 40), decision("early", 5)];
        let told = told(&versions, &decisions);
        let seen: Vec<&str> = told
            .iter()
            .map(|(row, _)| if row[0] == "-" { row[4].as_str() } else { row[0].as_str() })
            .collect();
        assert_eq!(seen, ["late", "3", "2", "between", "1", "early"]);
        assert_eq!((&told[0].1["decided"]["do"], &told[0].1["author"]), (&json!("rebalance"), &json!("ops")));
        assert_eq!(told[1].1["version"], 3);
    }
}
