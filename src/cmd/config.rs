//! `skein config check|show|new-key`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::json;
use skein_config::{DEFAULT_TOML, show, shown};

use super::load;
use crate::args::{Common, Config};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// Bytes of chance in a key.
const KEY_BYTES: usize = 32;

/// Does what was asked for.
pub fn run(common: &Common, command: &Config, output: Output) -> Result<Exit, Failure> {
    match command {
        Config::Check => {
            let config = load(common)?.config;
            let pools: Vec<&String> = config.pools.keys().collect();
            let note = if pools.is_empty() { "; there is no pool yet, so nothing can be sent" } else { "" };
            output.line(
                format!(
                    "the configuration is sound: engine {}, {} pools{note}",
                    config.engine.label(),
                    pools.len()
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
        Config::NewKey { name, append } => new_key(name, append.as_deref(), output)?,
    }
    Ok(Exit::Done)
}

fn new_key(name: &str, append: Option<&Path>, output: Output) -> Result<(), Failure> {
    let named = (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !named {
        return Err(Failure::Usage("a caller's name has 1 to 64 letters, digits, '.', '_' and '-'".into()));
    }
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system gives no random bytes"))?;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let key = format!("skein_{hex}");
    let line = format!("{name} = {}\n", blake3::hash(key.as_bytes()).to_hex());
    let Some(path) = append else {
        output.line(
            format!("key: {key}\nline for gateway.api_keys_file: {}", line.trim_end()),
            &json!({"name": name, "key": key, "line": line.trim_end()}),
        );
        return Ok(());
    };
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    output.line(&key, &json!({"name": name, "key": key}));
    Ok(())
}
