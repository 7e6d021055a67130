//! Everything that can be made to go wrong, as data: from a TOML file, the control endpoint or code.

use serde::{Deserialize, Serialize};

use crate::fingerprint::draw;
pub use crate::oddity::Oddity;
use crate::reason::Reason;
use crate::registry::TokenFaults;

/// The faults in force. All off by default; [`realistic`] is a mix of them.
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
    /// The whole service stands still until this is lifted.
    pub stall: Stall,
}

/// Shares (0 to 1, together at most 1) of the requests that pass all checks; each try of an id is decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestFaults {
    /// 410 `Unregistered`.
    pub gone: f64,
    /// 429 `TooManyRequests`.
    pub too_many_requests: f64,
    /// 500 `InternalServerError`.
    pub internal_server_error: f64,
    /// 503 `ServiceUnavailable`.
    pub service_unavailable: f64,
    /// 503 `Shutdown`.
    pub shutdown: f64,
    /// 400 `BadDeviceToken`.
    pub bad_device_token: f64,
    /// Read and delivered, never answered.
    pub silence: f64,
    /// `RST_STREAM` with `REFUSED_STREAM`: not processed.
    pub refused_stream: f64,
    /// An answer that Apple's documents do not have, one of [`Oddity`]: not processed.
    pub odd_answer: f64,
    /// So many times at most one id meets a fault of this table; 0 is no limit.
    pub faults_per_id_max: u32,
    /// Every answer is held back this long, in milliseconds.
    pub delay_ms: u64,
    /// And up to this much longer, evenly spread, in milliseconds.
    pub delay_jitter_ms: u64,
}

/// Faults of connections, counted in requests of that connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionFaults {
    /// A connection is closed with GOAWAY at this many requests; 0 is never.
    pub goaway_every: u64,
    /// What the GOAWAY carries.
    pub goaway_data: GoawayData,
    /// Its reason, where the data has one.
    pub goaway_reason: String,
    /// Its HTTP/2 error code; 0 is `NO_ERROR`.
    pub goaway_code: u32,
    /// Its last-stream-id.
    pub goaway_last_stream: LastStream,
    /// The frame is sent twice in a row.
    pub goaway_twice: bool,
    /// A connection is reset (TCP RST) at this many requests, what was not yet written stays unanswered; 0 is never.
    pub reset_every: u64,
    /// A connection stops answering for good at this many requests, PING included; 0 is never.
    pub stall_every: u64,
    /// A connection is closed with GOAWAY once its refusals weigh this much; 0 is never. A 4xx weighs 1, a 410 nothing,
    /// `BadDeviceToken` [`BAD_DEVICE_TOKEN_WEIGHT`].
    pub error_budget: u64,
    /// `goaway_every`, `reset_every` and `stall_every` vary from connection to connection by up to this share, by seed.
    pub spread: f64,
    /// The stream limit drops to 1 after a 4xx other than 410 and comes back after a 200.
    pub limit_drops: bool,
    /// The server reads this slowly, in bytes a second of each connection; 0 is as fast as they come.
    pub read_bytes_per_s: u64,
    /// Bodies of refusals come in three DATA frames, the second of them empty.
    pub split_bodies: bool,
}

impl Default for ConnectionFaults {
    fn default() -> Self {
        Self {
            goaway_every: 0,
            goaway_data: GoawayData::Json,
            goaway_reason: "Shutdown".to_owned(),
            goaway_code: 0,
            goaway_last_stream: LastStream::Current,
            goaway_twice: false,
            reset_every: 0,
            stall_every: 0,
            error_budget: 0,
            spread: 0.0,
            limit_drops: false,
            read_bytes_per_s: 0,
            split_bodies: false,
        }
    }
}

/// What a `BadDeviceToken` takes from a connection's error budget: Apple disconnects sooner for some errors.
pub const BAD_DEVICE_TOKEN_WEIGHT: u64 = 4;

/// The debug data of a GOAWAY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoawayData {
    /// `{"reason":"…"}`.
    Json,
    /// The reason as plain text.
    Text,
    /// None.
    Empty,
}

/// The last-stream-id of a GOAWAY. Streams above it were not processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastStream {
    /// The stream of the request that caused it: those before it are answered, those after it were not processed.
    Current,
    /// 0: nothing that is still unanswered was processed.
    Zero,
    /// 2^31-1 first, which announces the end; the true one follows [`ANNOUNCED_REQUESTS`] requests or
    /// [`ANNOUNCED_MS`] milliseconds later.
    Announced,
}

/// Requests still taken between an announcing GOAWAY and the true one.
pub const ANNOUNCED_REQUESTS: u64 = 16;
/// Milliseconds between an announcing GOAWAY and the true one.
pub const ANNOUNCED_MS: u64 = 50;

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

/// What a draw decided for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Refuse(Reason),
    RefuseStream,
    Silence,
    Odd,
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
        let requests = self.request.shares().map(|(key, share, _)| (key, share));
        check_shares("tokens", &tokens)?;
        check_shares("request", &requests)?;
        check_shares("connection", &[("connection.spread", self.connection.spread)])
    }

    /// Whether a request's fate depends on how often its id was seen.
    pub(crate) fn counts_attempts(&self) -> bool {
        self.request.shares().iter().any(|(_, share, _)| *share > 0.0)
    }

    pub(crate) fn fate(&self, id: u128, attempt: u32) -> Fate {
        let request = &self.request;
        if request.faults_per_id_max > 0 && attempt >= request.faults_per_id_max {
            return Fate::Pass;
        }
        let subject = (id >> 64) as u64 ^ (id as u64).rotate_left(32);
        let mut drawn = draw(self.seed, SALT_REQUEST, subject, u64::from(attempt));
        for (_, share, fate) in request.shares() {
            if drawn < share {
                return fate;
            }
            drawn -= share;
        }
        Fate::Pass
    }

    /// Which odd answer this try of an id gets.
    pub(crate) fn oddity(&self, id: u128, attempt: u32) -> Oddity {
        let drawn = draw(self.seed, SALT_ODD, id as u64, u64::from(attempt));
        [Oddity::UnknownReason, Oddity::Html, Oddity::NoBody][(drawn * 3.0) as usize]
    }

    /// How long the answer to this try of an id is held back, in nanoseconds.
    pub(crate) fn delay_ns(&self, id: u128, attempt: u32) -> u64 {
        let RequestFaults { delay_ms, delay_jitter_ms, .. } = self.request;
        if delay_jitter_ms == 0 {
            return delay_ms * 1_000_000;
        }
        let drawn = draw(self.seed, SALT_DELAY, id as u64, u64::from(attempt));
        delay_ms * 1_000_000 + (drawn * (delay_jitter_ms * 1_000_000) as f64) as u64
    }

    /// At which request of connection number `connection` the fault that strikes `every` requests does so.
    pub(crate) fn strikes_at(&self, every: u64, kind: ConnectionFault, connection: u32) -> u64 {
        if every == 0 {
            return u64::MAX;
        }
        let drawn = draw(self.seed, kind as u64, u64::from(connection), 0) * 2.0 - 1.0;
        ((every as f64 * (1.0 + drawn * self.connection.spread)) as u64).max(1)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum ConnectionFault {
    Goaway = 0x676f,
    Reset = 0x7273,
    Stall = 0x7374,
}

const SALT_REQUEST: u64 = 0x7265_7175;
const SALT_ODD: u64 = 0x6f64_6421;
const SALT_DELAY: u64 = 0x6465_6c61;

impl RequestFaults {
    fn shares(&self) -> [(&'static str, f64, Fate); 9] {
        let refuse = Fate::Refuse;
        [
            ("request.gone", self.gone, refuse(Reason::Unregistered)),
            ("request.too_many_requests", self.too_many_requests, refuse(Reason::TooManyRequests)),
            (
                "request.internal_server_error",
                self.internal_server_error,
                refuse(Reason::InternalServerError),
            ),
            ("request.service_unavailable", self.service_unavailable, refuse(Reason::ServiceUnavailable)),
            ("request.shutdown", self.shutdown, refuse(Reason::Shutdown)),
            ("request.bad_device_token", self.bad_device_token, refuse(Reason::BadDeviceToken)),
            ("request.silence", self.silence, Fate::Silence),
            ("request.refused_stream", self.refused_stream, Fate::RefuseStream),
            ("request.odd_answer", self.odd_answer, Fate::Odd),
        ]
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

/// A mix like a bad day's: about 1 % of tokens gone, some 429, 500 and 503, refused streams, GOAWAYs and resets.
/// At least 97 % are accepted in the end, and no id meets a request fault twice. Connections are struck early, since one that
/// answered a 503 is soon replaced by a careful client.
pub fn realistic() -> Faults {
    Faults {
        seed: 1,
        request: RequestFaults {
            too_many_requests: 0.002,
            internal_server_error: 0.002,
            service_unavailable: 0.001,
            shutdown: 0.0005,
            refused_stream: 0.001,
            faults_per_id_max: 1,
            ..RequestFaults::default()
        },
        tokens: TokenFaults { gone: 0.01, ..TokenFaults::default() },
        connection: ConnectionFaults {
            goaway_every: 1_000,
            reset_every: 1_500,
            spread: 0.5,
            ..ConnectionFaults::default()
        },
        stall: Stall::None,
    }
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

    #[test]
    fn each_try_of_an_id_is_decided_anew() {
        let mut faults = Faults::default();
        faults.request.internal_server_error = 0.5;
        let tries: Vec<_> = (0..64).map(|attempt| faults.fate(77, attempt)).collect();
        assert!(tries.contains(&Fate::Pass));
        assert!(tries.contains(&Fate::Refuse(Reason::InternalServerError)));
        assert_eq!(tries, (0..64).map(|attempt| faults.fate(77, attempt)).collect::<Vec<_>>());
        faults.request.faults_per_id_max = 1;
        assert!((1..64).all(|attempt| faults.fate(77, attempt) == Fate::Pass));
    }

    #[test]
    fn connections_are_struck_around_the_count() {
        let mut faults = Faults::default();
        assert_eq!(faults.strikes_at(0, ConnectionFault::Goaway, 1), u64::MAX);
        assert_eq!(faults.strikes_at(100, ConnectionFault::Goaway, 1), 100);
        faults.connection.spread = 0.5;
        let counts: Vec<_> =
            (0..100).map(|number| faults.strikes_at(100, ConnectionFault::Reset, number)).collect();
        assert!(counts.iter().all(|count| (50..=150).contains(count)));
        assert!(counts.iter().any(|count| *count < 80) && counts.iter().any(|count| *count > 120));
    }

    #[test]
    fn delays_stay_within_their_bounds() {
        let mut faults = Faults::default();
        assert_eq!(faults.delay_ns(1, 0), 0);
        faults.request.delay_ms = 10;
        faults.request.delay_jitter_ms = 5;
        assert!((0..100).all(|id| (10_000_000..15_000_000).contains(&faults.delay_ns(id, 0))));
    }
}
