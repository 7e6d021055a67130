//! Faults that come and go by the clock.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConnectionFaults, DeviceFaults, Faults, FaultsError, RequestFaults, Stall};
use crate::registry::TokenFaults;

/// The most phases of one set of faults.
pub const PHASES_MAX: usize = 1000;

/// A time in which some tables are others. Of phases that overlap, the later one in the list decides.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// When it begins, in milliseconds after its faults were put in force.
    pub after_ms: u64,
    /// How long it lasts, in milliseconds; 0 is for good.
    pub for_ms: u64,
    /// In place of [`Faults::request`], as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestFaults>,
    /// In place of [`Faults::tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenFaults>,
    /// In place of [`Faults::connection`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionFaults>,
    /// In place of [`Faults::device`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceFaults>,
    /// In place of [`Faults::stall`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Stall>,
}

impl Phase {
    fn begins(&self) -> Duration {
        Duration::from_millis(self.after_ms)
    }

    fn ends(&self) -> Option<Duration> {
        (self.for_ms > 0).then(|| self.begins() + Duration::from_millis(self.for_ms))
    }

    fn holds_at(&self, elapsed: Duration) -> bool {
        elapsed >= self.begins() && self.ends().is_none_or(|end| elapsed < end)
    }
}

impl Faults {
    pub(super) fn check_phases(&self) -> Result<(), FaultsError> {
        if self.phases.len() > PHASES_MAX {
            return Err(FaultsError::Phases(self.phases.len()));
        }
        self.phases.iter().try_for_each(|phase| self.with(phase).check())
    }

    /// What is in force so long after these faults were, without phases.
    pub(crate) fn at(&self, elapsed: Duration) -> Self {
        let base = Self { phases: Vec::new(), ..self.clone() };
        let now = self.phases.iter().filter(|phase| phase.holds_at(elapsed));
        now.fold(base, |faults, phase| faults.with(phase))
    }

    /// When the next phase begins or ends after `elapsed`.
    pub(crate) fn changes_after(&self, elapsed: Duration) -> Option<Duration> {
        let times = self.phases.iter().flat_map(|phase| [Some(phase.begins()), phase.ends()]);
        times.flatten().filter(|at| *at > elapsed).min()
    }

    fn with(&self, phase: &Phase) -> Self {
        Self {
            seed: self.seed,
            request: phase.request.clone().unwrap_or_else(|| self.request.clone()),
            tokens: phase.tokens.unwrap_or(self.tokens),
            connection: phase.connection.clone().unwrap_or_else(|| self.connection.clone()),
            device: phase.device.clone().unwrap_or_else(|| self.device.clone()),
            stall: phase.stall.unwrap_or(self.stall),
            phases: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_begin_end_and_overlap() {
        let faults = Faults::from_toml(
            "[request]\ngone = 0.1\n[[phase]]\nafter_ms = 100\nfor_ms = 100\n[phase.request]\nshutdown = 1.0\n\
             [[phase]]\nafter_ms = 150\nstall = \"answers\"\n",
        )
        .expect("sound");
        let at = |ms| {
            let now = faults.at(Duration::from_millis(ms));
            (now.request.gone, now.request.shutdown, now.stall)
        };
        assert_eq!(at(0), (0.1, 0.0, Stall::None));
        assert_eq!(at(100), (0.0, 1.0, Stall::None));
        assert_eq!(at(199), (0.0, 1.0, Stall::Answers));
        assert_eq!(at(200), (0.1, 0.0, Stall::Answers));
        let next = |ms| faults.changes_after(Duration::from_millis(ms)).map(|at| at.as_millis());
        assert_eq!((next(0), next(100), next(150), next(200)), (Some(100), Some(150), Some(200), None));
        Faults::from_toml("[[phase]]\n[phase.request]\ngone = 2.0").expect_err("no share");
    }
}
