//! What a check comes to, and all of them together.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, can be lost, or is open to whom it must not be.
    Error,
    /// It works, and is less safe or soon to break.
    Warning,
}

impl Severity {
    /// The word in tables.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong. No secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What to do: a command wherever one does it.
    #[serde(rename = "do")]
    pub remedy: String,
}

impl Finding {
    pub(crate) fn error(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn warning(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  do: {}", self.severity.label(), self.what, self.remedy)
    }
}

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// All is as it must be.
    Fine,
    /// Something is wrong.
    Findings(Vec<Finding>),
    /// It could not be looked at, for this reason; that is a finding of another check.
    NotChecked(String),
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, such as `rabbitmq.rights`.
    pub name: String,
    /// What became of it.
    pub state: State,
}

impl Check {
    pub(crate) fn new(name: impl Into<String>, findings: Vec<Finding>) -> Self {
        let state = if findings.is_empty() { State::Fine } else { State::Findings(findings) };
        Self { name: name.into(), state }
    }

    pub(crate) fn skipped(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::NotChecked(why.into()) }
    }

    /// What it found.
    pub fn findings(&self) -> &[Finding] {
        match &self.state {
            State::Findings(findings) => findings,
            _ => &[],
        }
    }
}

/// All checks of one examination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many findings are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
    /// How many checks could not be made.
    pub not_checked: usize,
    /// Each check, in the order of the services.
    pub checks: Vec<Check>,
}

impl Report {
    pub(crate) fn new(checks: Vec<Check>) -> Self {
        let of = |severity| {
            checks.iter().flat_map(Check::findings).filter(|finding| finding.severity == severity).count()
        };
        let not_checked = checks.iter().filter(|check| matches!(check.state, State::NotChecked(_))).count();
        Self { errors: of(Severity::Error), warnings: of(Severity::Warning), not_checked, checks }
    }

    /// Whether nothing is wrong.
    pub fn is_fine(&self) -> bool {
        self.errors + self.warnings == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_found_and_what_was_not_looked_at() {
        let found = vec![Finding::error("a", "b"), Finding::warning("c", "d")];
        let checks =
            vec![Check::new("x", Vec::new()), Check::new("y", found), Check::skipped("z", "y is away")];
        let report = Report::new(checks);
        assert_eq!((report.errors, report.warnings, report.not_checked), (1, 1, 1));
        assert!(!report.is_fine());
        assert!(Report::new(vec![Check::skipped("z", "why")]).is_fine());
    }
}
