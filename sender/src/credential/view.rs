//! What the pages say of a pool's credential. No secret.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use skein_apns::{CredentialInfo, Environment};
use skein_core::Timestamp;

use super::expiry::days_left;

/// A pool's credential as it is now.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialView {
    /// `in_use`, `on_trial` (no push of it is answered yet), or `none` (the pool waits).
    pub state: &'static str,
    /// `token` or `certificate`.
    pub kind: Option<&'static str>,
    /// The team.
    pub team: Option<String>,
    /// A token key's id.
    pub key: Option<String>,
    /// SHA-256 of the certificate or public key.
    pub fingerprint: Option<String>,
    /// Environments, as far as it says.
    pub environments: Vec<&'static str>,
    /// Topics, as far as it says.
    pub topics: Vec<String>,
    /// Until when it is valid, RFC 3339; a token key has no end.
    pub expires_at: Option<String>,
    /// Whole days until then.
    pub days_left: Option<u64>,
    /// Why the latest new one is not in use.
    pub trouble: Option<String>,
    /// It has run out: APNs takes no new connection with it.
    pub expired: bool,
    #[serde(skip)]
    not_after: Option<SystemTime>,
}

impl CredentialView {
    /// As it is at `now`.
    pub fn new(
        info: Option<CredentialInfo>,
        on_trial: bool,
        trouble: Option<String>,
        now: SystemTime,
    ) -> Self {
        let Some(info) = info else { return Self { state: "none", trouble, ..Self::default() } };
        let view = Self {
            state: if on_trial { "on_trial" } else { "in_use" },
            kind: Some(info.kind),
            team: info.team_id,
            key: info.key_id,
            fingerprint: Some(info.fingerprint),
            environments: info.environments.into_iter().map(Environment::label).collect(),
            topics: info.topics,
            expires_at: info.not_after.map(rfc3339),
            not_after: info.not_after,
            trouble,
            ..Self::default()
        };
        view.at(now)
    }

    /// The same at another time.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        let days_left = self.not_after.map(|end| days_left(end, now));
        Self { days_left, expired: self.not_after.is_some_and(|end| now > end), ..self }
    }

    /// What keeps its pool from sending, or will when its connections end, if anything of it does.
    pub fn stops(&self) -> Option<String> {
        if self.state == "none" {
            let why = self.trouble.as_deref().unwrap_or("it can't be read");
            return Some(format!("there is no credential to send with: {why}"));
        }
        let end = self.expires_at.as_deref().filter(|_| self.expired)?;
        Some(format!("the certificate has run out at {end}: APNs takes no new connection with it"))
    }

    /// What is worth knowing of it although it stops nothing: a new one that is on trial, or is not in use.
    pub fn note(&self) -> Option<String> {
        match (self.state, &self.trouble) {
            ("on_trial", _) => Some("a new credential is on trial: no push of it is answered yet".to_owned()),
            ("in_use", Some(why)) => Some(format!("the latest new credential is not in use: {why}")),
            _ => None,
        }
    }
}

/// A time as people and programs read it.
pub fn rfc3339(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_millis(i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn info(not_after: SystemTime) -> CredentialInfo {
        CredentialInfo {
            kind: "certificate",
            fingerprint: "ab".to_owned(),
            topics: Vec::new(),
            environments: Vec::new(),
            not_before: None,
            not_after: Some(not_after),
            team_id: None,
            key_id: None,
            common_name: None,
        }
    }

    #[test]
    fn one_that_runs_out_while_it_is_in_use_is_named_at_once() {
        let end = UNIX_EPOCH + Duration::from_secs(86_400);
        let second = Duration::from_secs(1);
        let view = CredentialView::new(Some(info(end)), false, None, end - second);
        assert_eq!((view.stops(), view.expired), (None, false));
        let later = view.at(end + second);
        assert!(later.stops().is_some_and(|why| why.contains("1970-01-02")), "{later:?}");
        assert_eq!((later.days_left, later.note()), (Some(0), None));
    }

    #[test]
    fn a_new_one_that_is_not_in_use_is_a_note() {
        let end = UNIX_EPOCH + Duration::from_secs(86_400);
        let view = |on_trial, trouble: Option<&str>| {
            CredentialView::new(Some(info(end)), on_trial, trouble.map(str::to_owned), UNIX_EPOCH)
        };
        assert!(view(true, None).note().is_some_and(|note| note.contains("on trial")));
        assert!(view(false, Some("wrong team")).note().is_some_and(|note| note.contains("wrong team")));
        assert_eq!((view(false, None).note(), view(false, Some("wrong team")).stops()), (None, None));
        let none = CredentialView::new(None, false, Some("gone".to_owned()), UNIX_EPOCH);
        assert!(none.stops().is_some() && none.note().is_none());
    }
}
