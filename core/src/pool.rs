//! Names of pools and queues.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name of a pool, in bytes.
pub const POOL_NAME_BYTES_MAX: usize = 32;

/// The name of a pool: a lower-case letter, then lower-case letters, digits and `-`; at most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PoolName(Arc<str>);

/// A text is not the name of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a pool name; use a lower-case letter, then lower-case letters, digits and '-', at most 32 bytes"
)]
pub struct NotAPoolName;

impl PoolName {
    /// Reads a name.
    pub fn parse(text: &str) -> Result<Self, NotAPoolName> {
        let fits = text.len() <= POOL_NAME_BYTES_MAX
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(NotAPoolName) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The direct exchange that this pool's producers publish to.
    pub fn exchange(&self) -> String {
        format!("skein.{}", self.0)
    }
}

impl<'de> Deserialize<'de> for PoolName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A queue of a pool: `skein.<pool>.q<number>` on the broker, `<pool>.q<number>` on the command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName {
    /// The pool.
    pub pool: PoolName,
    /// Its number within the pool, from 0.
    pub number: u16,
}

impl QueueName {
    /// The name on the broker.
    pub fn on_broker(&self) -> String {
        format!("skein.{self}")
    }

    /// Reads `<pool>.q<number>`, with or without the leading `skein.`.
    pub fn parse(text: &str) -> Option<Self> {
        let (pool, number) = text.strip_prefix("skein.").unwrap_or(text).rsplit_once(".q")?;
        Some(Self { pool: PoolName::parse(pool).ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.q{}", self.pool, self.number)
    }
}

impl Serialize for QueueName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueueName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a queue such as enterprise.q3"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["enterprise", "developer", "im-2"] {
            assert!(PoolName::parse(good).is_ok());
        }
        for bad in ["", "2im", "Enterprise", "a.b", "a b", &"a".repeat(33)] {
            assert_eq!(PoolName::parse(bad), Err(NotAPoolName), "{bad}");
        }
        let queue = QueueName { pool: PoolName::parse("enterprise").unwrap(), number: 3 };
        assert_eq!(queue.on_broker(), "skein.enterprise.q3");
        assert_eq!(QueueName::parse("skein.enterprise.q3"), Some(queue.clone()));
        assert_eq!(QueueName::parse("enterprise.q3"), Some(queue));
        assert_eq!(QueueName::parse("enterprise"), None);
    }
}
