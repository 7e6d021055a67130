//! One difference between what is and what must be.

use std::fmt;

use serde::Serialize;

/// A service of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// RabbitMQ.
    RabbitMq,
    /// PostgreSQL.
    PostgreSql,
    /// ZooKeeper.
    ZooKeeper,
}

impl Service {
    /// The word in tables and names of files.
    pub const fn label(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::PostgreSql => "postgresql",
            Self::ZooKeeper => "zookeeper",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "RabbitMQ",
            Self::PostgreSql => "PostgreSQL",
            Self::ZooKeeper => "ZooKeeper",
        })
    }
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is missing, and is made.
    Make,
    /// It differs, and is changed.
    Change,
    /// It is too much, and is taken away.
    Take,
    /// It differs, and an operator must mend it: no command here would do it without loss.
    Trouble,
}

impl Kind {
    /// The sign before its line.
    pub const fn sign(self) -> char {
        match self {
            Self::Make => '+',
            Self::Change => '~',
            Self::Take => '-',
            Self::Trouble => '!',
        }
    }
}

/// One difference, in words without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where.
    pub service: Service,
    /// What is done about it.
    pub kind: Kind,
    /// What it is: `user skein-sender-1`.
    pub what: String,
    /// What it must be, or what to do.
    pub detail: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:10}  {}", self.kind.sign(), self.service.label(), self.what)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}
