//! What is wrong with a configuration: all of it, each with its place, its key and what would be right.

use crate::origin::Origin;
use serde::Serialize;
use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where; absent where nothing was written at all (a missing key with no section).
    #[serde(rename = "at")]
    pub origin: Option<Origin>,
    /// The setting's key (`pools.enterprise.port`), or empty where no key can be named (broken TOML).
    pub key: String,
    /// What is wrong; never repeats a secret.
    pub what: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Every fault of one run; never empty when it is returned as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
#[error("the configuration has {} fault(s): {}", .0.len(), .0.iter().map(Fault::to_string).collect::<Vec<_>>().join(" | "))]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(crate) fn add(
        &mut self,
        origin: Option<&Origin>,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let fault =
            Fault { origin: origin.cloned(), key: key.to_owned(), what: what.into(), remedy: remedy.into() };
        if !self.0.contains(&fault) {
            self.0.push(fault);
        }
    }

    /// In the order of a reader: by layer, then file and line, then key.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
    }
}

/// The faults as text for a terminal: two lines each and a closing count; `color` adds ANSI colours.
#[must_use]
pub fn render_faults(faults: &Faults, color: bool) -> String {
    let paint = |code: &str, text: &str| {
        if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    };
    let mut out = String::new();
    for fault in &faults.0 {
        if let Some(origin) = &fault.origin {
            out.push_str(&format!("{}: ", paint("1", &origin.to_string())));
        }
        if !fault.key.is_empty() {
            out.push_str(&format!("{}: ", paint("36", &fault.key)));
        }
        out.push_str(&format!("{}\n  {} {}\n", paint("31", &fault.what), paint("32", "fix:"), fault.remedy));
    }
    let count = faults.0.len();
    out.push_str(&format!("{count} {}\n", if count == 1 { "fault" } else { "faults" }));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults() -> Faults {
        let mut faults = Faults::default();
        let at = Origin::File { file: "skein.toml".into(), line: Some(3) };
        faults.add(Some(&at), "sender.lease", "\"1\" has no unit", "a duration such as \"700ms\"");
        faults
    }

    #[test]
    fn text_names_place_key_fault_and_remedy() {
        assert_eq!(
            render_faults(&faults(), false),
            "skein.toml:3: sender.lease: \"1\" has no unit\n  fix: a duration such as \"700ms\"\n1 fault\n"
        );
        assert!(render_faults(&faults(), true).contains("\x1b[36msender.lease\x1b[0m"));
    }

    #[test]
    fn json_names_them_too() {
        assert_eq!(
            serde_json::to_value(faults()).expect("json"),
            serde_json::json!([{
                "at": {"source": "file", "file": "skein.toml", "line": 3},
                "key": "sender.lease",
                "what": "\"1\" has no unit",
                "remedy": "a duration such as \"700ms\"",
            }])
        );
    }
}
