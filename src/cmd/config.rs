//! `skein config check|show|live|new-key`

pub mod live;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use skein_config::{DEFAULT_TOML, Files, show, shown};

use super::{load, load_for};
use crate::args::{Common, Config, RoleName};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::wiring::apns::{checked_credential, client_config};

/// Bytes of chance in a key.
const KEY_BYTES: usize = 32;

/// Does what was asked for.
pub fn run(common: &Common, command: &Config, output: Output) -> Result<Exit, Failure> {
    match command {
        Config::Check { role } => {
            let files = role.map_or(Files::ALL, RoleName::files);
            let has_pools = files.has_pools();
            let config = load_for(common, files)?.config;
            if has_pools {
                check_pools(&config)?;
            }
            let pools: Vec<&String> = config.pools.keys().collect();
            let note = if pools.is_empty() { "; there is no pool yet, so nothing can be sent" } else { "" };
            output.line(
                format!(
                    "the configuration is sound: engine {}, {} {}{note}",
                    config.engine.label(),
                    pools.len(),
                    if pools.len() == 1 { "pool" } else { "pools" }
                ),
                &json!({"ok": true, "engine": config.engine.label(), "pools": pools}),
            );
        }
        Config::Show { defaults: true, .. } => output.raw(DEFAULT_TOML),
        Config::Show { changed, .. } => {
            let loaded = load(common)?;
            if output.is_json() {
                let values = shown(&loaded, *changed);
                output.table([], &[], &values);
            } else {
                output.raw(&show(&loaded, *changed));
            }
        }
        Config::Live(live) => return live::run(common, live, output),
        Config::NewKey { name, append, out } => new_key(name, append.as_deref(), out.as_deref(), output)?,
    }
    Ok(Exit::Done)
}

/// Every pool's credential, roots and proxy; all that can't be used are named at once.
fn check_pools(config: &skein_config::Config) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (name, pool) in &config.pools {
        for checked in [checked_credential(name, pool).map(drop), client_config(config, name, pool).map(drop)]
        {
            match checked {
                Ok(()) => {}
                Err(Failure::Usage(why)) => wrong.push(why),
                Err(other) => return Err(other),
            }
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Usage(wrong.join("\n"))) }
}

/// A new key, and its line in the file of keys.
pub fn made_key(name: &str) -> Result<(String, String), Failure> {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let key = format!("skein_{hex}");
    let line = format!("{name} = {}", blake3::hash(key.as_bytes()).to_hex());
    Ok((key, line))
}

fn new_key(name: &str, append: Option<&Path>, out: Option<&Path>, output: Output) -> Result<(), Failure> {
    let named = (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !named {
        return Err(Failure::Usage("a caller's name has 1 to 64 letters, digits, '.', '_' and '-'".into()));
    }
    let (key, line) = made_key(name)?;
    let mut text = Vec::new();
    match out {
        None => text.push(format!("key: {key}")),
        Some(path) => {
            write_private(OpenOptions::new().write(true).create_new(true), path, &key)?;
            text.push(format!("key written to {}", path.display()));
        }
    }
    match append {
        None => text.push(format!("line for gateway.api_keys_file: {line}")),
        Some(path) => {
            write_private(OpenOptions::new().append(true).create(true), path, &line)?;
            text.push(format!("its hash added to {}", path.display()));
        }
    }
    let shown = out.is_none().then_some(&key);
    output.line(text.join("\n"), &json!({"name": name, "key": shown, "line": line}));
    Ok(())
}

/// Writes a line to a file that only its owner may read, if it is made here.
fn write_private(options: &mut OpenOptions, path: &Path, line: &str) -> Result<(), Failure> {
    let named = || format!("cannot write {}", path.display());
    let mut file = options.mode(0o600).open(path).with_context(named)?;
    file.write_all(format!("{line}\n").as_bytes()).with_context(named)?;
    Ok(())
}
