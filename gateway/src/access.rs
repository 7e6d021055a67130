//! Who may come in, and to which pools.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use skein_core::PoolName;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::problem::Problem;

/// A caller: its key is known only by hash.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The caller's name.
    pub name: Arc<str>,
    /// The BLAKE3 hash of its key.
    pub hash: [u8; 32],
    /// The pools it may use; `None` means all.
    pub pools: Option<Vec<PoolName>>,
}

impl ApiKey {
    /// Whether it may use a pool.
    #[must_use]
    pub fn may_use(&self, pool: &str) -> bool {
        self.pools.as_ref().is_none_or(|pools| pools.iter().any(|p| p.as_str() == pool))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("pools", &self.pools).finish_non_exhaustive()
    }
}

/// What the gateway knows of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolRule {
    /// The topics it sends for; empty means any. A foreign topic is refused here, since APNs answers it by refusing the
    /// credential, which pauses the pool for everybody (P5).
    pub topics: Vec<String>,
}

/// Keys and pools; may be replaced while running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may come in.
    pub keys: Vec<ApiKey>,
    /// Every pool there is.
    pub pools: BTreeMap<PoolName, PoolRule>,
}

impl Access {
    /// The caller of a key, by its hash. Takes the same time whether, where and how far a hash matches.
    pub(crate) fn caller(&self, key: &[u8]) -> Option<usize> {
        let hash = blake3::hash(key);
        let mut found = u64::MAX;
        for (index, known) in (0u64..).zip(&self.keys) {
            let equal: Choice = known.hash.ct_eq(hash.as_bytes());
            found.conditional_assign(&index, equal);
        }
        usize::try_from(found).ok().filter(|index| *index < self.keys.len())
    }

    /// The pool that a caller names.
    ///
    /// # Errors
    /// Not named, not the caller's to use, or not there.
    pub(crate) fn pool(
        &self,
        caller: &ApiKey,
        named: Option<&str>,
    ) -> Result<(&PoolName, &PoolRule), Problem> {
        let Some(named) = named else {
            return Err(Problem::fault("pool", "missing; name the pool, as in ?pool=enterprise"));
        };
        if !caller.may_use(named) {
            return Err(Problem::PoolForbidden);
        }
        self.pools.iter().find(|(pool, _)| pool.as_str() == named).ok_or(Problem::UnknownPool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, key: &str, pools: Option<&[&str]>) -> ApiKey {
        let pools = pools.map(|p| p.iter().map(|p| PoolName::parse(p).unwrap()).collect());
        ApiKey { name: name.into(), hash: *blake3::hash(key.as_bytes()).as_bytes(), pools }
    }

    #[test]
    fn finds_the_caller_by_the_hash_of_its_key() {
        let access = Access {
            keys: vec![key("a", "one", None), key("b", "two", Some(&["im"]))],
            pools: BTreeMap::new(),
        };
        assert_eq!(access.caller(b"one"), Some(0));
        assert_eq!(access.caller(b"two"), Some(1));
        assert_eq!(access.caller(b"three"), None);
        assert_eq!(access.caller(blake3::hash(b"one").as_bytes()), None);
        assert_eq!(Access::default().caller(b""), None);
    }

    #[test]
    fn a_key_opens_its_pools_only() {
        let pools = ["im", "mail"].map(|p| (PoolName::parse(p).unwrap(), PoolRule::default()));
        let access = Access { keys: vec![], pools: pools.into() };
        let all = key("a", "one", None);
        let one = key("b", "two", Some(&["im"]));
        assert_eq!(access.pool(&all, Some("mail")).unwrap().0.as_str(), "mail");
        assert_eq!(access.pool(&one, Some("im")).unwrap().0.as_str(), "im");
        assert!(matches!(access.pool(&one, Some("mail")), Err(Problem::PoolForbidden)));
        assert!(matches!(access.pool(&one, Some("none")), Err(Problem::PoolForbidden)));
        assert!(matches!(access.pool(&all, Some("none")), Err(Problem::UnknownPool)));
        assert!(matches!(access.pool(&all, None), Err(Problem::Invalid(_))));
    }

    /// P9: no hash is printed.
    #[test]
    fn debug_shows_no_hash() {
        assert_eq!(format!("{:?}", key("a", "one", None)), "ApiKey { name: \"a\", pools: None, .. }");
    }
}
