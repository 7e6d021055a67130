//! Faults of whole connections, and the draws that decide them.

use serde::{Deserialize, Serialize};

use super::{Faults, Hostility};
use crate::fingerprint::draw;
use crate::reason::Reason;

/// Faults of connections, counted in requests of that connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionFaults {
    /// A connection is closed with GOAWAY at this many requests; 0 is never.
    pub goaway_every: u64,
    /// What such a GOAWAY looks like is drawn for each connection from all the forms below, whatever they are set to.
    pub goaway_mixed: bool,
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
    /// From this many requests of a connection on, every one is answered 403 `ExpiredProviderToken`, as after an expired
    /// token; 0 is never. Connections with a client certificate get a GOAWAY instead.
    pub wedge_every: u64,
    /// A connection breaks HTTP/2 at this many requests and then answers nothing any more; 0 is never.
    pub hostile_every: u64,
    /// How it breaks it; drawn for each connection unless set.
    pub hostile: Option<Hostility>,
    /// At this many requests of a connection it meets one of the faults above, drawn for each connection; 0 is never.
    pub mixed_every: u64,
    /// A connection is closed with GOAWAY once its refusals weigh this much; 0 is never. A 4xx weighs 1, a 410 nothing,
    /// `BadDeviceToken` [`BAD_DEVICE_TOKEN_WEIGHT`].
    pub error_budget: u64,
    /// The counts above vary from connection to connection by up to this share, by seed.
    pub spread: f64,
    /// What a client meets that opens more streams than it may.
    pub over_limit: OverLimit,
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
            goaway_mixed: false,
            goaway_data: GoawayData::Json,
            goaway_reason: "Shutdown".to_owned(),
            goaway_code: 0,
            goaway_last_stream: LastStream::Current,
            goaway_twice: false,
            reset_every: 0,
            stall_every: 0,
            wedge_every: 0,
            hostile_every: 0,
            hostile: None,
            mixed_every: 0,
            error_budget: 0,
            spread: 0.0,
            over_limit: OverLimit::RefuseStream,
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

/// What becomes of a stream beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverLimit {
    /// `RST_STREAM` with `REFUSED_STREAM` (RFC 9113 §5.1.2).
    RefuseStream,
    /// The connection ends with a GOAWAY that carries [`OVER_LIMIT_TEXT`], as seen of Apple's service in 2016.
    Goaway,
}

/// The debug data of the GOAWAY that follows too many streams.
pub const OVER_LIMIT_TEXT: &str = "Maximum active streams violated for this endpoint.";

/// What one GOAWAY looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoawayForm {
    pub(crate) data: Vec<u8>,
    pub(crate) code: u32,
    pub(crate) last_stream: LastStream,
    pub(crate) twice: bool,
}

impl GoawayForm {
    /// Two in a row that refuse the whole connection, with a reason.
    pub(crate) fn refusal(reason: Reason) -> Self {
        let data = serde_json::json!({ "reason": reason.label() }).to_string().into_bytes();
        Self { data, code: 0, last_stream: LastStream::Zero, twice: true }
    }
}

impl Faults {
    /// What a GOAWAY on connection number `connection` looks like.
    pub(crate) fn goaway_form(&self, connection: u32) -> GoawayForm {
        let faults = &self.connection;
        let (mut kind, mut code) = (faults.goaway_data, faults.goaway_code);
        let (mut last_stream, mut twice) = (faults.goaway_last_stream, faults.goaway_twice);
        if faults.goaway_mixed {
            let pick = |salt, choices: usize| {
                (draw(self.seed, SALT_FORM, u64::from(connection), salt) * choices as f64) as usize
            };
            kind = [GoawayData::Json, GoawayData::Text, GoawayData::Empty][pick(0, 3)];
            code = [0, 0, 2][pick(1, 3)];
            last_stream = [LastStream::Current, LastStream::Zero, LastStream::Announced][pick(2, 3)];
            twice = pick(3, 4) == 0;
        }
        let data = match kind {
            GoawayData::Json => {
                serde_json::json!({ "reason": faults.goaway_reason }).to_string().into_bytes()
            }
            GoawayData::Text => faults.goaway_reason.clone().into_bytes(),
            GoawayData::Empty => Vec::new(),
        };
        GoawayForm { data, code, last_stream, twice }
    }

    /// How connection number `connection` breaks HTTP/2.
    pub(crate) fn hostility(&self, connection: u32) -> Hostility {
        let drawn = draw(self.seed, SALT_HOSTILE, u64::from(connection), 0);
        let drawn = Hostility::ALL[(drawn * Hostility::ALL.len() as f64) as usize];
        self.connection.hostile.unwrap_or(drawn)
    }

    /// Which fault `mixed_every` means on connection number `connection`.
    pub(crate) fn mixed_fault(&self, connection: u32) -> ConnectionFault {
        use ConnectionFault::{Goaway, Hostile, Reset, Stall, Wedge};
        let drawn = draw(self.seed, ConnectionFault::Mixed as u64, u64::from(connection), 1);
        [Goaway, Reset, Stall, Wedge, Hostile][(drawn * 5.0) as usize]
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
    Wedge = 0x7765,
    Hostile = 0x686f,
    Mixed = 0x6d69,
}

const SALT_FORM: u64 = 0x666f_726d;
const SALT_HOSTILE: u64 = 0x686f_7374;

#[cfg(test)]
mod tests {
    use super::*;

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
    fn mixed_faults_are_of_every_kind_and_repeatable() {
        let mut faults = Faults::default();
        faults.connection.goaway_mixed = true;
        let kinds = |faults: &Faults| -> Vec<_> {
            (0..100)
                .map(|n| (faults.mixed_fault(n) as u64, faults.hostility(n), faults.goaway_form(n)))
                .collect()
        };
        let drawn = kinds(&faults);
        assert_eq!(drawn, kinds(&faults));
        let different: std::collections::HashSet<u64> = drawn.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(different.len(), 5);
        assert!(Hostility::ALL.iter().all(|wanted| drawn.iter().any(|(_, kind, _)| kind == wanted)));
        let forms = |last| drawn.iter().any(|(.., form)| form.last_stream == last && !form.twice);
        assert!(forms(LastStream::Current) && forms(LastStream::Zero) && forms(LastStream::Announced));
    }
}
