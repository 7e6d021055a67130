//! How a command ends: the exit codes, documented in `docs/cli.md`, and what stands behind each.

use std::process::ExitCode;

use skein_config::Faults;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: it did what was asked.
    Done,
    /// 1: it failed, or the answer is no.
    Failed,
    /// 2: the arguments or the configuration are wrong; nothing was begun. (Also clap's own code.)
    Usage,
    /// 3: a service that it needs is away, or what was asked was left out.
    Away,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl Exit {
    /// The code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Away => 3,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// The configuration has faults.
    Config(Faults),
    /// The arguments don't fit together, or a file named in them is wrong.
    Usage(String),
    /// A service is away.
    Away(String),
    /// Anything else.
    Failed(anyhow::Error),
}

impl Failure {
    /// Its exit.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Usage(_) => Exit::Usage,
            Self::Away(_) => Exit::Away,
            Self::Failed(_) => Exit::Failed,
        }
    }

    /// The word with `--json`.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Config(_) => "configuration",
            Self::Usage(_) => "usage",
            Self::Away(_) => "away",
            Self::Failed(_) => "failed",
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Config(faults)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}
