//! The layer of a TOML file, with the line of every value.

use crate::fault::Faults;
use crate::layer::{Layer, Leaf};
use crate::origin::Origin;
use crate::schema::{Resolved, join, schema};
use crate::value::Raw;
use std::collections::BTreeSet;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// Reads a file's text; every fault of it (syntax, unknown sections and keys) is added, the rest is taken.
///
/// `origin` makes an origin from a line.
pub(crate) fn read_file_layer(
    text: &str,
    folder: &Path,
    origin: &dyn Fn(u32) -> Origin,
    faults: &mut Faults,
) -> Layer {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut broken = BTreeSet::new();
    for error in errors {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        if !broken.insert(line) {
            continue;
        }
        faults.add(Some(&origin(line)), "", format!("is no TOML: {}", error.message()), "correct this line");
    }
    let mut walk = Walk { text, folder, origin, broken, faults, layer: Layer::default() };
    walk.table("", table.get_ref());
    walk.layer
}

struct Walk<'a> {
    text: &'a str,
    folder: &'a Path,
    origin: &'a dyn Fn(u32) -> Origin,
    /// Lines with a fault of syntax; what seems to stand there is not looked at.
    broken: BTreeSet<u32>,
    faults: &'a mut Faults,
    layer: Layer,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = join(path, name.get_ref());
            let line = line_of(self.text, name.span().start);
            let origin = (self.origin)(line);
            match value.get_ref() {
                DeValue::Table(inner) => self.section(&key, inner, origin),
                other => {
                    let raw = if self.broken.contains(&line) { Raw::Broken } else { raw(other) };
                    let leaf = Leaf { key, raw, origin, folder: self.folder.to_owned() };
                    self.layer.push(leaf, self.faults);
                }
            }
        }
    }

    fn section(&mut self, key: &str, table: &DeTable<'_>, origin: Origin) {
        let is_template = matches!(origin, Origin::Default { .. });
        match schema().resolve(key) {
            Resolved::Known(known) => {
                let remedy = format!("write {key} = … with {}", known.kind_text);
                self.faults.add(Some(&origin), key, "is a setting, not a section", remedy);
            }
            Resolved::Unknown { .. }
                if schema().is_section(key) && (is_template || !key_has_bad_pool(key)) =>
            {
                self.layer.sections.insert(key.to_owned(), origin);
                self.table(key, table);
            }
            Resolved::Unknown { what, remedy } => self.faults.add(Some(&origin), key, what, remedy),
        }
    }
}

fn key_has_bad_pool(key: &str) -> bool {
    let name = key.strip_prefix("pools.").and_then(|rest| rest.split('.').next());
    name.is_some_and(|name| !crate::kind::is_pool_name(name))
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            i64::from_str_radix(digits, number.radix())
                .map_or(Raw::Other("a whole number too large for 64 bits"), Raw::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other("a number"), Raw::Float),
        DeValue::Boolean(bool) => Raw::Bool(*bool),
        DeValue::Datetime(_) => Raw::Other("a date or time"),
        DeValue::Array(items) => Raw::List(items.iter().map(|item| raw(item.get_ref())).collect()),
        DeValue::Table(_) => Raw::Other("a table in a list"),
    }
}

fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    u32::try_from(before.iter().filter(|b| **b == b'\n').count() + 1).unwrap_or(u32::MAX)
}
