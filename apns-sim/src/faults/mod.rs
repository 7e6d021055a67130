//! Everything that can be made to go wrong, as data: from a TOML file, the control endpoint or code.

mod connection;
mod hostility;
mod oddity;
mod phase;
mod preset;
mod request;

use serde::{Deserialize, Serialize};

pub use crate::devices::DeviceFaults;
use crate::fingerprint::fingerprint_of_hex;
use crate::registry::TokenFaults;
pub use connection::{
    ANNOUNCED_MS, ANNOUNCED_REQUESTS, BAD_DEVICE_TOKEN_WEIGHT, ConnectionFaults, GoawayData, LastStream,
    OVER_LIMIT_TEXT, OverLimit,
};
pub(crate) use connection::{ConnectionFault, GoawayForm};
pub use hostility::Hostility;
pub use oddity::Oddity;
pub use phase::{PHASES_MAX, Phase};
pub use preset::{EVERYTHING_EVERY, EVERYTHING_RATE, everything, preset, realistic};
pub(crate) use request::Fate;
pub use request::RequestFaults;

/// The faults in force. All off by default; [`realistic`] and [`everything`] are mixes of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// What every draw depends on: the same seed and traffic meet the same faults.
    pub seed: u64,
    /// Faults of single requests.
    pub request: RequestFaults,
    /// Faults of device tokens.
    pub tokens: TokenFaults,
    /// Faults of connections.
    pub connection: ConnectionFaults,
    /// How APNs and devices treat what was accepted.
    pub device: DeviceFaults,
    /// The whole service stands still until this is lifted.
    pub stall: Stall,
    /// Times at which other faults are in force.
    #[serde(rename = "phase", skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

/// How the whole service stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stall {
    /// It does not.
    #[default]
    None,
    /// Requests are read and held; their answers come when the stall is lifted.
    Answers,
    /// Nothing is read from the sockets; what the kernel's buffers hold is read when the stall is lifted.
    Reads,
}

/// Why a set of faults cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The text is no TOML of this shape.
    #[error("the faults file does not parse: {0}")]
    Toml(#[from] toml::de::Error),
    /// A share lies outside its range.
    #[error("{key} is {value}; a share lies between 0 and 1")]
    Share {
        /// The setting.
        key: &'static str,
        /// What it was set to.
        value: f64,
    },
    /// There is no set of faults of this name.
    #[error("preset {0} does not exist; use none, realistic or everything")]
    Preset(String),
    /// A token that is none. Only its length is told.
    #[error("device.offline_tokens has an entry of {0} characters that is no even-length hex")]
    Token(usize),
    /// More phases than can be followed.
    #[error("there are {0} phases; at most {PHASES_MAX} can be followed")]
    Phases(usize),
    /// Shares of one draw add up to more than 1.
    #[error("the shares under {table} add up to {sum}; together they are at most 1")]
    Sum {
        /// The table of the shares.
        table: &'static str,
        /// What they add up to.
        sum: f64,
    },
}

impl Faults {
    /// Reads and checks a TOML file's text.
    pub fn from_toml(text: &str) -> Result<Self, FaultsError> {
        let faults: Self = toml::from_str(text)?;
        faults.check()?;
        Ok(faults)
    }

    /// Checks that every share is one.
    pub fn check(&self) -> Result<(), FaultsError> {
        let tokens = self.tokens.shares().map(|(key, share, _)| (key, share));
        let requests: Vec<_> = self.request.all_shares().map(|(key, share, _)| (key, share)).collect();
        check_shares("tokens", &tokens)?;
        check_shares("request", &requests)?;
        check_shares("request", &[("request.slow", self.request.slow)])?;
        check_shares("connection", &[("connection.spread", self.connection.spread)])?;
        for share in self.device.shares() {
            check_shares("device", &[share])?;
        }
        if let Some(bad) = self.device.offline_tokens.iter().find(|hex| fingerprint_of_hex(hex).is_none()) {
            return Err(FaultsError::Token(bad.len()));
        }
        self.check_phases()
    }
}

fn check_shares(table: &'static str, shares: &[(&'static str, f64)]) -> Result<(), FaultsError> {
    for (key, value) in shares {
        if !(0.0..=1.0).contains(value) {
            return Err(FaultsError::Share { key, value: *value });
        }
    }
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    if sum > 1.0 + 1e-9 { Err(FaultsError::Sum { table, sum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_nothing_else() {
        let faults = Faults::from_toml(
            "seed = 9\nstall = \"answers\"\n[request]\nsilence = 0.5\ndelay_ms = 20\n[tokens]\ngone_timestamp = { ago_ms = 5 }\n\
             [connection]\ngoaway_every = 7\ngoaway_last_stream = \"zero\"\n",
        )
        .expect("a good file");
        assert_eq!((faults.seed, faults.stall, faults.request.silence), (9, Stall::Answers, 0.5));
        assert_eq!(faults.connection.goaway_last_stream, LastStream::Zero);
        assert_eq!(faults.connection.goaway_reason, "Shutdown");
        assert_eq!(Faults::from_toml("").expect("an empty file"), Faults::default());
    }

    #[test]
    fn a_wrong_file_is_refused() {
        assert!(matches!(Faults::from_toml("[request]\nsilense = 1.0"), Err(FaultsError::Toml(_))));
        assert!(matches!(Faults::from_toml("[request]\nsilence = 1.5"), Err(FaultsError::Share { .. })));
        assert!(matches!(
            Faults::from_toml("[request]\nsilence = 0.6\ngone = 0.6"),
            Err(FaultsError::Sum { .. })
        ));
        realistic().check().expect("the shipped mix is sound");
    }
}
