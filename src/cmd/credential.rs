//! `skein credential check|list|rotate`

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use hyper::Method;
use serde_json::{Value, json};
use skein_apns::{Credential, CredentialError, TokenKey, probe};
use skein_config::{Config, Files};
use skein_sender::credential::view::CredentialView;

use super::{credential_fleet, load_for, small_runtime};
use crate::args::{Check, Common, Credential as Asked, List, Rotate};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::pages_client;
use crate::wiring::apns::{certificate, check, client_config, credential};

/// Does what was asked for.
pub fn run(common: &Common, asked: &Asked, output: Output) -> Result<Exit, Failure> {
    match asked {
        Asked::Check(arguments) => small_runtime()?.block_on(checked(common, arguments, output)),
        Asked::List(List { fleet: true, .. }) => {
            let config = load_for(common, Files::NONE)?.config;
            small_runtime()?.block_on(credential_fleet::list(&config, output))
        }
        Asked::List(List { url: None, .. }) => Ok(list(&load_for(common, Files::POOLS)?.config, output)),
        Asked::List(List { url: Some(url), .. }) => small_runtime()?.block_on(running(url, output)),
        Asked::Rotate(arguments) if arguments.back || !arguments.to.is_empty() => {
            let config = load_for(common, Files::NONE)?.config;
            small_runtime()?.block_on(credential_fleet::rotate(common, &config, arguments, output))
        }
        Asked::Rotate(arguments) => {
            let url = match &arguments.url {
                Some(url) => url.clone(),
                None => format!("http://{}", load_for(common, Files::NONE)?.config.http.listen),
            };
            small_runtime()?.block_on(rotate(&url, arguments, output))
        }
    }
}

/// What was found out of one credential.
struct Finding {
    pool: Option<String>,
    info: Option<skein_apns::CredentialInfo>,
    /// Why it can't be used, if it can't.
    trouble: Option<String>,
    /// What the dry connection said.
    connected: Option<Result<String, String>>,
    away: bool,
}

async fn checked(common: &Common, arguments: &Check, output: Output) -> Result<Exit, Failure> {
    let named_file = arguments.file.as_deref();
    if arguments.connect && arguments.pool.is_none() && named_file.is_some() {
        return Err(Failure::Usage("--connect needs the pool too, for the way to APNs".into()));
    }
    // A file alone needs no configuration.
    let config = match (named_file, &arguments.pool) {
        (Some(_), None) => None,
        _ => Some(load_for(common, Files::POOLS)?.config),
    };
    let mut findings = Vec::new();
    match &config {
        None => findings.push(finding(None, from_arguments(arguments), None)),
        Some(config) => {
            for (name, pool) in chosen(config, arguments.pool.as_deref())? {
                let read = match named_file {
                    Some(_) => from_arguments(arguments),
                    None => credential(&pool.credential),
                };
                let usable = read.as_ref().ok().cloned();
                let mut found = finding(Some(name), read, Some(pool));
                if arguments.connect
                    && let Some(usable) = usable
                {
                    let way = client_config(config, name, pool)?;
                    match probe(&way, &usable).await {
                        Ok(probe) => {
                            let took = probe.took.as_millis();
                            found.connected = Some(Ok(format!("{} answered after {took} ms", probe.address)));
                        }
                        Err(error) => {
                            found.away = !error.is_refusal();
                            found.connected = Some(Err(error.to_string()));
                        }
                    }
                }
                findings.push(found);
            }
        }
    }
    for found in &findings {
        output.line(found.text(), &found.json());
    }
    let refused = |f: &Finding| f.trouble.is_some() || !f.away && matches!(f.connected, Some(Err(_)));
    Ok(if findings.iter().any(refused) {
        Exit::Failed
    } else if findings.iter().any(|f| f.away) {
        Exit::Away
    } else {
        Exit::Done
    })
}

fn chosen<'a>(
    config: &'a Config,
    pool: Option<&str>,
) -> Result<Vec<(&'a str, &'a skein_config::Pool)>, Failure> {
    let all: Vec<_> = config.pools.iter().map(|(name, pool)| (name.as_str(), pool)).collect();
    let Some(wanted) = pool else {
        let none = "there is no pool in the configuration; name a file with --file, or add a pool";
        return if all.is_empty() { Err(Failure::Usage(none.to_owned())) } else { Ok(all) };
    };
    let found: Vec<_> = all.iter().copied().filter(|(name, _)| *name == wanted).collect();
    if found.is_empty() {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        return Err(Failure::Usage(format!("there is no pool {wanted:?}; there are: {}", names.join(", "))));
    }
    Ok(found)
}

fn from_arguments(arguments: &Check) -> anyhow::Result<Credential> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let file = arguments.file.as_deref().context("no file is named")?;
    let main = read(file)?;
    let named = || file.display().to_string();
    if let (Some(key_id), Some(team_id)) = (&arguments.key_id, &arguments.team_id) {
        return Ok(Credential::Token(TokenKey::from_p8(&main, key_id, team_id).with_context(named)?));
    }
    if file.extension().is_some_and(|end| end == "p8") {
        return Err(anyhow!("a .p8 key needs --key-id and --team-id, which its file does not hold"));
    }
    let key = arguments.key_file.as_deref().map(read).transpose()?;
    let password = match &arguments.password_file {
        None => String::new(),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    let certificate = match certificate(&main, key.as_deref(), &password) {
        Err(CredentialError::WrongPassword) if arguments.password_file.is_none() => {
            return Err(anyhow!(
                "{} has a password: name the file that holds it with --password-file",
                named()
            ));
        }
        read => read.with_context(named)?,
    };
    Ok(Credential::Certificate(certificate))
}

fn finding(
    name: Option<&str>,
    read: anyhow::Result<Credential>,
    pool: Option<&skein_config::Pool>,
) -> Finding {
    let pool_name = name.map(str::to_owned);
    let (info, trouble) = match read {
        Err(error) => (None, Some(format!("{error:#}"))),
        Ok(credential) => {
            let fits = match (pool, &credential) {
                (Some(pool), _) => check(&credential, pool),
                (None, Credential::Certificate(certificate)) => {
                    certificate.info().check_validity(SystemTime::now())
                }
                (None, Credential::Token(_)) => Ok(()),
            };
            (Some(credential.info()), fits.err().map(|error| error.to_string()))
        }
    };
    Finding { pool: pool_name, info, trouble, connected: None, away: false }
}

impl Finding {
    fn view(&self) -> CredentialView {
        CredentialView::new(self.info.clone(), false, self.trouble.clone(), SystemTime::now())
    }

    fn json(&self) -> Value {
        let mut value = json!(self.view());
        if let Some(fields) = value.as_object_mut() {
            fields.remove("state");
            fields.insert("pool".to_owned(), json!(self.pool));
            fields.insert("fits".to_owned(), json!(self.trouble.is_none()));
            let connected = self.connected.as_ref().map(|found| match found {
                Ok(text) => json!({"ok": true, "message": text}),
                Err(text) => json!({"ok": false, "away": self.away, "message": text}),
            });
            fields.insert("connected".to_owned(), json!(connected));
        }
        value
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        if let Some(pool) = &self.pool {
            lines.push(format!("pool {pool}"));
        }
        let view = self.view();
        let mut line = |name: &str, text: String| lines.push(format!("  {name:<13}{text}"));
        if let Some(kind) = view.kind {
            line(
                "kind",
                view.key.as_ref().map_or_else(|| kind.to_owned(), |key| format!("{kind}, key {key}")),
            );
            line("team", view.team.clone().unwrap_or_else(|| "not said".to_owned()));
            line(
                "environments",
                said(&view.environments, "not said: both, unless apple's site says otherwise"),
            );
            line("topics", said(&view.topics, "not said: every topic of the team"));
            line("valid", valid(&view));
        }
        line("fits", self.trouble.as_ref().map_or_else(|| "yes".to_owned(), |why| format!("no: {why}")));
        match &self.connected {
            None => {}
            Some(Err(why)) => line("connection", format!("no: {why}")),
            Some(Ok(text)) => {
                line("connection", text.clone());
                if view.kind == Some("token") {
                    line("", "what apns says of a key it says of a push only, and none was sent".to_owned());
                }
            }
        }
        lines.join("\n")
    }
}

fn said<T: AsRef<str>>(list: &[T], nothing: &str) -> String {
    if list.is_empty() {
        return nothing.to_owned();
    }
    list.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

const WITHOUT_END: &str = "without end; a key can be revoked";

fn until(end: &str, days: u64) -> String {
    format!("until {end}, {days} days left")
}

fn valid(view: &CredentialView) -> String {
    match (&view.expires_at, view.days_left) {
        (Some(end), Some(days)) => until(end, days),
        _ => WITHOUT_END.to_owned(),
    }
}

fn list(config: &Config, output: Output) -> Exit {
    let findings: Vec<Finding> = config
        .pools
        .iter()
        .map(|(name, pool)| finding(Some(name), credential(&pool.credential), Some(pool)))
        .collect();
    let rows: Vec<[String; 6]> = findings
        .iter()
        .map(|found| {
            let state = if found.trouble.is_none() { "fits" } else { "unusable" };
            row(found.pool.as_deref().unwrap_or_default(), state, &found.view())
        })
        .collect();
    let values: Vec<Value> = findings.iter().map(Finding::json).collect();
    output.table(HEAD, &rows, &values);
    if findings.iter().any(|found| found.trouble.is_some()) { Exit::Failed } else { Exit::Done }
}

const HEAD: [&str; 6] = ["pool", "state", "kind", "team", "valid", "trouble"];

fn row(pool: &str, state: &str, view: &CredentialView) -> [String; 6] {
    [
        pool.to_owned(),
        state.to_owned(),
        view.kind.unwrap_or("-").to_owned(),
        view.team.clone().unwrap_or_else(|| "-".to_owned()),
        if view.kind.is_some() { valid(view) } else { "-".to_owned() },
        view.trouble.clone().unwrap_or_default(),
    ]
}

async fn running(url: &str, output: Output) -> Result<Exit, Failure> {
    let (status, body) = pages_client::ask(url, Method::GET, "/credentials").await?;
    let Some(pools) = body["credentials"].as_object().filter(|_| status == 200) else {
        return Err(Failure::Failed(anyhow!("the pages at {url} answer {status}; are they a sender's?")));
    };
    let text = |view: &Value, name: &str| view[name].as_str().unwrap_or("-").to_owned();
    let rows: Vec<[String; 6]> = pools
        .iter()
        .map(|(pool, view)| {
            let valid = match (view["days_left"].as_u64(), view["kind"].as_str()) {
                (Some(days), _) => until(&text(view, "expires_at"), days),
                (None, Some(_)) => WITHOUT_END.to_owned(),
                (None, None) => "-".to_owned(),
            };
            let trouble = view["trouble"].as_str().unwrap_or_default().to_owned();
            [pool.clone(), text(view, "state"), text(view, "kind"), text(view, "team"), valid, trouble]
        })
        .collect();
    let values: Vec<Value> = pools
        .iter()
        .map(|(pool, view)| {
            let mut view = view.clone();
            view["pool"] = json!(pool);
            view
        })
        .collect();
    output.table(HEAD, &rows, &values);
    Ok(Exit::Done)
}

async fn rotate(url: &str, arguments: &Rotate, output: Output) -> Result<Exit, Failure> {
    let pool = &arguments.pool;
    let plain = !pool.is_empty() && pool.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !plain {
        return Err(Failure::Usage(format!("{pool:?} is no pool's name")));
    }
    let (status, body) = pages_client::ask(url, Method::POST, &format!("/credentials/{pool}/rotate")).await?;
    let message = || body["message"].as_str().unwrap_or("the pages refuse").to_owned();
    match status {
        200 => {}
        404 => return Err(Failure::Usage(format!("{}; {url} is asked", message()))),
        403 => return Err(Failure::Usage(message())),
        _ => return Err(Failure::Failed(anyhow!("{} ({status})", message()))),
    }
    let why = body["why"].as_str().unwrap_or_default();
    let (text, exit) = match body["outcome"].as_str().unwrap_or_default() {
        "rotated" => (
            "the new credential is in place; the old one's connections end when apns has taken a push of it"
                .to_owned(),
            Exit::Done,
        ),
        "unchanged" => ("the credential in its files is the one in place".to_owned(), Exit::Done),
        "away" => (
            format!("apns can't be reached to try it: {why}; the old one stays, and it is tried again"),
            Exit::Away,
        ),
        _ => (format!("the new credential can't be used: {why}; the old one stays"), Exit::Failed),
    };
    output.line(format!("{pool}: {text}"), &body);
    Ok(exit)
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cmd::begin::tests::{key, private};

    /// Every role's, without a file.
    pub const CONFIG: &str = r#"
        engine = "cluster"
        [broker]
        urls = ["amqp://127.0.0.1:5672"]
        [ledger]
        url = "postgres://127.0.0.1:5432/skein"
        fingerprint_key_file = "not-here.key"
        parking_key_file = "not-here.key"
        [http]
        listen = "127.0.0.1:1"
        [gateway]
        api_keys_file = "not-here"
        [pools.im]
        environment = "sandbox"
        topics = ["com.example.im"]
        credential = { kind = "token", key_file = "im.p8", key_id = "IMKEY00001", team_id = "TEAM567890" }
    "#;

    /// The configuration is every role's; the front door's files are not on a sender's host, nor are a pool's on an operator's. The ledger's
    /// keys are none of a credential's.
    #[test]
    fn each_command_needs_the_files_that_it_reads() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("skein.toml"), CONFIG).unwrap();
        private(&at("im.p8"), &key());
        let common = Common { files: vec![at("skein.toml")], settings: Vec::new(), json: true };
        let parsed = |words: &[&str]| {
            let words = ["skein", "credential"].iter().chain(words);
            match crate::args::Arguments::try_parse_from(words).unwrap().command {
                crate::args::Command::Credential(asked) => run(&common, &asked, Output::new(true)),
                _ => unreachable!("it is a command of credentials"),
            }
        };
        for words in [&["check"][..], &["check", "im"], &["list"]] {
            assert_eq!(parsed(words).unwrap(), Exit::Done, "{words:?}");
        }
        fs::remove_file(at("im.p8")).unwrap();
        let asked = parsed(&["rotate", "im"]);
        assert!(matches!(asked, Err(Failure::Away(_))), "it asks a sender, and none is there: {asked:?}");
    }
}
