//! The merged and checked values, and reading the settings' structs from them.

use crate::fault::Faults;
use crate::live_layer::Files;
use crate::origin::Origin;
use crate::schema::schema;
use crate::value::{FromValue, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
    /// Number of its layer, 0 for the defaults; of two sources of a secret the higher one counts.
    pub(crate) layer: usize,
}

/// Every value that is set, by full key.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Sections that were opened, and where first.
    pub(crate) sections: BTreeMap<String, Origin>,
    /// Keys whose own fault is reported; nothing more is said about them.
    pub(crate) faulty: BTreeSet<String>,
    /// Which of the files that are named are on this host.
    pub(crate) files: Files,
}

impl Values {
    /// The value of a key as a Rust type, if it is set and right in itself.
    pub(crate) fn get<T: FromValue>(&self, key: &str) -> Option<T> {
        let entry = self.entries.get(key).filter(|_| !self.faulty.contains(key))?;
        T::from_value(&entry.value)
    }

    /// Whether a key is set, rightly or wrongly.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.entries.contains_key(key) || self.faulty.contains(key)
    }

    /// Whether a secret is set: itself, by file or by variable.
    pub(crate) fn is_secret_set(&self, key: &str) -> bool {
        ["", "_file", "_env"].iter().any(|end| self.is_set(&format!("{key}{end}")))
    }

    /// Where a key's value stands; the default's place counts only if nothing else does.
    pub(crate) fn origin(&self, key: &str) -> Option<&Origin> {
        self.entries.get(key).map(|entry| &entry.origin)
    }

    /// Whether the file that a key names is not this process's to look at.
    pub(crate) fn is_elsewhere(&self, key: &str) -> bool {
        !self.files.has(key)
    }

    /// The names of all pools.
    pub(crate) fn pools(&self) -> Vec<String> {
        let names = self.sections.keys().filter_map(|s| s.strip_prefix("pools."));
        names.filter(|name| !name.contains('.')).map(str::to_owned).collect()
    }

    /// Where a missing key would have to stand: the nearest section that was opened by hand.
    pub(crate) fn place_of_missing(&self, key: &str) -> Option<&Origin> {
        let mut path = key;
        while let Some((outer, _)) = path.rsplit_once('.') {
            if let Some(origin) = self.sections.get(outer).filter(|origin| !origin.is_default()) {
                return Some(origin);
            }
            path = outer;
        }
        self.origin("engine").filter(|origin| !origin.is_default())
    }
}

/// Reads structs from [`Values`]; what is missing becomes a fault.
pub(crate) struct Reader<'a> {
    pub(crate) values: &'a Values,
    pub(crate) faults: &'a mut Faults,
}

/// What can be read from the values under a key: a scalar, a section, or the pools.
pub(crate) trait Setting: Sized {
    /// `None` if something in it is missing or faulty; the fault is added.
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self>;

    /// The keys it reads, with `<name>` for a pool; a test holds them against `default.toml`.
    #[cfg(test)]
    fn keys(key: &str, keys: &mut Vec<String>) {
        keys.push(key.to_owned());
    }
}

impl<T: FromValue> Setting for T {
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self> {
        match reader.values.entries.get(key) {
            Some(entry) => {
                let value = T::from_value(&entry.value);
                if value.is_none() {
                    // A test reads every key, so this is a slip of this crate, not of the operator.
                    let remedy = "report this: default.toml and the settings' types disagree";
                    reader.faults.add(Some(&entry.origin), key, "cannot be used", remedy);
                }
                value
            }
            None => {
                if !reader.values.faulty.contains(key) {
                    let known = schema().key(key);
                    let remedy = known.map_or_else(String::new, |k| {
                        let name = key.rsplit('.').next().unwrap_or(key);
                        let example = k.example.as_deref().unwrap_or("…");
                        format!("write {name} = {example}, or another: {}", k.kind_text)
                    });
                    reader.faults.add(reader.values.place_of_missing(key), key, "is missing", remedy);
                }
                None
            }
        }
    }
}

impl<T: FromValue> Setting for Option<T> {
    fn read(reader: &mut Reader<'_>, key: &str) -> Option<Self> {
        if reader.values.entries.contains_key(key) { T::read(reader, key).map(Some) } else { Some(None) }
    }
}

/// A section that may be absent as a whole.
pub(crate) fn read_optional_section<T: Setting>(reader: &mut Reader<'_>, key: &str) -> Option<Option<T>> {
    let opened_by_hand = reader.values.sections.get(key).is_some_and(|origin| !origin.is_default());
    if opened_by_hand { T::read(reader, key).map(Some) } else { Some(None) }
}

/// Makes a struct of settings that is read field by field; a field's key is the section's and its own name.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }

        impl $crate::values::Setting for $name {
            fn read(reader: &mut $crate::values::Reader<'_>, key: &str) -> Option<Self> {
                $(let $field = <$ty as $crate::values::Setting>::read(
                    reader,
                    &$crate::schema::join(key, stringify!($field)),
                );)*
                Some(Self { $($field: $field?,)* })
            }

            #[cfg(test)]
            fn keys(key: &str, keys: &mut Vec<String>) {
                $(<$ty as $crate::values::Setting>::keys(
                    &$crate::schema::join(key, stringify!($field)),
                    keys,
                );)*
            }
        }
    };
}

/// Makes an enum of the words a `one-of` setting takes.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The word in files, logs and tables.
            #[must_use]
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }

        impl $crate::value::FromValue for $name {
            fn from_value(value: &$crate::value::Value) -> Option<Self> {
                match value {
                    $($crate::value::Value::Text(text) if text == $label => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {choice, section};
