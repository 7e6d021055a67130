//! The gateway's file of API keys: one line `name = <BLAKE3 hash of the key, 64 hex digits>` each.

use crate::fault::Faults;
use crate::origin::Origin;
use crate::secret::hex32;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Most keys in one file.
const KEYS_MAX: usize = 10_000;

/// Who may submit: a name for logs and metrics of rates, and the hash of the key that proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Name of the caller.
    pub name: String,
    /// BLAKE3 hash of the key; compare in constant time.
    pub hash: [u8; 32],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.name)
    }
}

/// Reads the lines; blank ones and those that begin with `#` are passed over. A fault never repeats a line's hash,
/// since a key itself may stand there by mistake.
pub(crate) fn parse_api_keys(text: &str, path: &Path, key: &str, faults: &mut Faults) -> Vec<ApiKey> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut keys = Vec::new();
    for (number, line) in (1u32..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = Origin::File { file: path.to_owned(), line: Some(number) };
        let mut fault = |what: String, remedy: &str| faults.add(Some(&origin), key, what, remedy);
        let Some((name, digits)) = line.split_once('=').map(|(n, d)| (n.trim(), d.trim().trim_matches('"')))
        else {
            fault("has no '='".into(), "write name = <64 hex digits, the BLAKE3 hash of the key>");
            continue;
        };
        let named = (1..=64).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !named {
            fault(
                "begins with no usable name".into(),
                "a name has 1 to 64 letters, digits, '.', '_' and '-'",
            );
            continue;
        }
        let mut hash = [0; 32];
        if !hex32(digits, &mut hash) {
            fault(
                format!("{name}: no hash of 64 hex digits follows"),
                "write the BLAKE3 hash of the key, not the key",
            );
            continue;
        }
        if let Some(first) = seen.insert(name, number) {
            fault(format!("{name} stands twice, first in line {first}"), "give each key a name of its own");
            continue;
        }
        if keys.len() == KEYS_MAX {
            fault(format!("has more than {KEYS_MAX} keys"), "remove the keys that nobody uses");
            break;
        }
        keys.push(ApiKey { name: name.to_owned(), hash });
    }
    if keys.is_empty() && seen.is_empty() {
        let origin = Origin::File { file: path.to_owned(), line: None };
        faults.add(Some(&origin), key, "names no key", "add a line name = <64 hex digits>");
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bad_line_is_named() {
        let hash = "0a".repeat(32);
        let text = format!("# keys\n\nim = {hash}\nno-hash\nim = {hash}\nb c = {hash}\nshort = hunter2\n");
        let mut faults = Faults::default();
        let keys = parse_api_keys(&text, Path::new("keys"), "gateway.api_keys_file", &mut faults);
        assert_eq!(keys, [ApiKey { name: "im".into(), hash: [10; 32] }]);
        let lines: Vec<_> =
            faults.0.iter().map(|f| f.origin.as_ref().expect("a place").to_string()).collect();
        assert_eq!(lines, ["keys:4", "keys:5", "keys:6", "keys:7"]);
        assert!(!format!("{faults:?}").contains("hunter2"));
    }

    #[test]
    fn an_empty_file_is_a_fault() {
        let mut faults = Faults::default();
        assert!(
            parse_api_keys("# none\n", Path::new("keys"), "gateway.api_keys_file", &mut faults).is_empty()
        );
        assert_eq!(faults.0.len(), 1);
    }
}
