//! The sets of faults that have a name.

use std::collections::BTreeMap;

use super::{ConnectionFaults, DeviceFaults, Faults, FaultsError, RequestFaults};
use crate::registry::TokenFaults;

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
        ..Faults::default()
    }
}

/// The share of requests of [`everything`] unless another is asked for.
pub const EVERYTHING_RATE: f64 = 0.01;
/// The requests between two connection faults of [`everything`] unless others are asked for.
pub const EVERYTHING_EVERY: u64 = 5_000;

/// Every fault that a sound client meets without being at fault itself.
///
/// - About `rate` of the requests meet a request fault, each kind equally often, an id at most three times; as many are
///   slow. 429, 500, 503 (both reasons), `IdleTimeout`, refused streams, silence, and answers that no document has.
/// - `rate` of the *tokens* are gone, expired, of the other environment or of another topic, each equally often, for good.
/// - Every connection meets one fault around its `every`th request: GOAWAY of any form, reset, standstill, a credential
///   that is refused from then on, or broken HTTP/2. `every` 0 leaves those out.
/// - `rate` of the devices are offline, `rate` of the pushes are stored or shown in the wrong order; devices take 5 ms to
///   acknowledge. No provider sees any of it.
/// - The stream limit falls to 1 with refusals, bodies of refusals come in pieces.
pub fn everything(rate: f64, every: u64) -> Faults {
    const REQUEST_KINDS: f64 = 8.0;
    const TOKEN_KINDS: f64 = 4.0;
    let (request, token) = (rate / REQUEST_KINDS, rate / TOKEN_KINDS);
    Faults {
        seed: 1,
        request: RequestFaults {
            too_many_requests: request,
            internal_server_error: request,
            service_unavailable: request,
            shutdown: request,
            silence: request,
            refused_stream: request,
            odd_answer: request,
            refuse: BTreeMap::from([(crate::Reason::IdleTimeout, request)]),
            faults_per_id_max: 3,
            slow: rate,
            slow_ms: 50,
            ..RequestFaults::default()
        },
        tokens: TokenFaults {
            gone: token,
            expired: token,
            wrong_environment: token,
            wrong_topic: token,
            ..TokenFaults::default()
        },
        connection: ConnectionFaults {
            mixed_every: every,
            goaway_mixed: true,
            spread: 0.5,
            limit_drops: true,
            split_bodies: true,
            ..ConnectionFaults::default()
        },
        device: DeviceFaults {
            offline: rate,
            ack_delay_ms: 5,
            race: rate,
            reorder: rate,
            ..DeviceFaults::default()
        },
        ..Faults::default()
    }
}

/// The set of faults with this name: `none`, `realistic` or `everything`, to which alone `rate` and `every` matter.
pub fn preset(name: &str, rate: Option<f64>, every: Option<u64>) -> Result<Faults, FaultsError> {
    if let Some(value) = rate.filter(|rate| !(0.0..=1.0).contains(rate)) {
        return Err(FaultsError::Share { key: "rate", value });
    }
    let faults = match name {
        "none" => Faults::default(),
        "realistic" => realistic(),
        "everything" => everything(rate.unwrap_or(EVERYTHING_RATE), every.unwrap_or(EVERYTHING_EVERY)),
        other => return Err(FaultsError::Preset(other.to_owned())),
    };
    faults.check()?;
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_presets_are_sound() {
        for (name, rate) in [("none", 0.0), ("realistic", 0.0), ("everything", 0.01), ("everything", 0.2)] {
            preset(name, Some(rate), Some(500)).expect("sound");
        }
        assert!(matches!(preset("everything", Some(1.5), None), Err(FaultsError::Share { .. })));
        assert!(matches!(preset("worst", None, None), Err(FaultsError::Preset(_))));
    }
}
