//! Where a value comes from.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from, in the order of the layers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Origin {
    /// The compiled-in `default.toml`.
    Default {
        /// Line in `default.toml`, from 1.
        line: u32,
    },
    /// A file that was loaded.
    File {
        /// Path as it was given.
        file: PathBuf,
        /// Line, from 1; absent if the file as a whole is meant.
        line: Option<u32>,
    },
    /// A variable of the environment.
    Environment {
        /// The variable's name.
        name: String,
    },
    /// A `--set key=value` of the command line.
    Flag {
        /// Which one, from 1; the text itself is not kept, since it may hold what must not be printed.
        number: usize,
    },
    /// The live settings of the fleet.
    Live {
        /// Which version of them.
        version: u64,
    },
}

impl Origin {
    /// Whether this is the compiled-in default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Default { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default { .. } => f.write_str("default"),
            Self::File { file, line: Some(line) } => write!(f, "{}:{line}", file.display()),
            Self::File { file, line: None } => write!(f, "{}", file.display()),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Flag { number } => write!(f, "flag --set ({number})"),
            Self::Live { version } => write!(f, "live settings, version {version}"),
        }
    }
}
