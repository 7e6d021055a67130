//! The notifications of a run: the same for the same seed, but for their ids.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, anyhow};
use skein_core::notification::Draft;
use skein_core::{Expiration, Fault, Notification, Timestamp};

/// Device tokens in a run.
pub(crate) const TOKENS: u64 = 100_000;
/// The pool.
pub(crate) const POOL: &str = "bench";
/// The topic.
pub(crate) const TOPIC: &str = "com.example.im";
/// The size of a payload, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = 233;
/// The smallest payload that [`Traffic::payload_of`] makes.
pub(crate) const PAYLOAD_BYTES_MIN: usize = 160;
/// Producers may split the tokens into so many sets that share none.
pub(crate) const LANES: u64 = 8;

const SOUND: &[u8] = b"\"},\"sound\":\"default\",\"thread-id\":\"chat-";
const SEQUENCE: &[u8] = b"\"},\"skein_seq\":";
const CHAT_DIGITS: usize = 8;
const DECIMALS: usize = 20;
const FILLER: &[u8; 130] =
    b"The meeting starts at nine, room four. Bring the figures of the last quarter, and ask Ben for the slides that he promised to send.";
const APP: &str = "im";
/// How long a notification is worth delivering; longer than any run.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const TOKENS_OF_LANE: u64 = TOKENS / LANES;

/// Draws tokens and payloads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    seed: u64,
}

/// The `n`th notification's place in the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Counted over all; grows within a token in the order of submission.
    pub(crate) sequence: u64,
    /// The token's number.
    pub(crate) token: u64,
}

impl Traffic {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A single: any token.
    pub(crate) fn single(self, n: u64) -> Place {
        Place { sequence: n, token: mix(self.seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) % TOKENS }
    }

    /// The lane of a token.
    pub(crate) fn lane_of(token: u64) -> u64 {
        token / TOKENS_OF_LANE
    }

    /// The `count` items of batch `batch`, the first of which is number `first` of all: distinct tokens of one lane, which is
    /// `batch` modulo [`LANES`].
    pub(crate) fn batch(self, batch: u64, first: u64, count: u64) -> impl Iterator<Item = Place> {
        let lane = batch % LANES;
        let from = mix(self.seed ^ batch.wrapping_mul(0xd6e8_feb8_6659_fd93));
        (0..count).map(move |i| Place {
            sequence: first + i,
            token: lane * TOKENS_OF_LANE + from.wrapping_add(i) % TOKENS_OF_LANE,
        })
    }

    /// A token's 32 bytes.
    pub(crate) fn token(self, number: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            chunk.copy_from_slice(&mix(mix(self.seed ^ number << 2) ^ at as u64).to_be_bytes());
        }
        bytes
    }

    /// A token as hexadecimal text.
    pub(crate) fn token_hex(self, number: u64) -> String {
        self.token(number).iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// A payload of [`PAYLOAD_BYTES`] that no other notification has.
    pub(crate) fn payload(self, sequence: u64) -> String {
        String::from_utf8(self.payload_of(sequence, PAYLOAD_BYTES)).unwrap_or_default()
    }

    /// A payload of so many bytes, [`PAYLOAD_BYTES_MIN`] at least, that no other notification has.
    pub(crate) fn payload_of(self, sequence: u64, bytes: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.max(PAYLOAD_BYTES_MIN));
        text.extend_from_slice(b"{\"aps\":{\"alert\":{\"title\":\"Anna Example\",\"body\":\"");
        let mut number = mix(self.seed.wrapping_add(sequence));
        let mut hex = [0; 16];
        for digit in hex.iter_mut().rev() {
            *digit = b"0123456789abcdef"[(number & 15) as usize];
            number >>= 4;
        }
        text.extend_from_slice(&hex);
        text.push(b' ');
        let mut digits = [b'0'; DECIMALS];
        let sequence_text = decimal(sequence, &mut digits);
        let tail = SOUND.len() + CHAT_DIGITS + SEQUENCE.len() + sequence_text.len() + 1;
        let mut fill = bytes.saturating_sub(text.len() + tail);
        while fill > 0 {
            let part = &FILLER[..fill.min(FILLER.len())];
            text.extend_from_slice(part);
            fill -= part.len();
        }
        text.extend_from_slice(SOUND);
        let mut chat = [b'0'; DECIMALS];
        decimal(sequence % TOKENS, &mut chat);
        text.extend_from_slice(&chat[DECIMALS - CHAT_DIGITS..]);
        text.extend_from_slice(SEQUENCE);
        text.extend_from_slice(sequence_text);
        text.push(b'}');
        text
    }

    /// A single as a backend would write it: about 1 KB with its AMQP properties.
    pub(crate) fn notification(self, place: Place, now: Timestamp) -> Result<Notification> {
        let texts = Texts::of(place);
        Draft::new(self.token_hex(place.token), TOPIC)
            .payload_json(self.payload(place.sequence))
            .expiration(Expiration::At(now.plus(LIFETIME)))
            .collapse_id(&texts.collapse_id)
            .user(&texts.user)
            .app(APP)
            .reference(&texts.reference)
            .build(now)
            .map_err(invalid)
    }

    /// The same as the gateway takes it; the gateway gives the id.
    pub(crate) fn notification_json(self, place: Place, now: Timestamp) -> String {
        let texts = Texts::of(place);
        format!(
            "{{\"token\":\"{}\",\"topic\":\"{TOPIC}\",\"expires_at\":\"{}\",\"collapse_id\":\"{}\",\"user\":\"{}\",\
             \"app\":\"{APP}\",\"ref\":\"{}\",\"payload\":{}}}",
            self.token_hex(place.token),
            now.plus(LIFETIME),
            texts.collapse_id,
            texts.user,
            texts.reference,
            self.payload(place.sequence)
        )
    }

    /// One payload for many devices.
    pub(crate) fn shared(self, places: &[Place], now: Timestamp) -> Result<Vec<Notification>> {
        let sequence = places.first().map_or(0, |place| place.sequence);
        let devices = places.iter().map(|place| (self.token_hex(place.token), None));
        Draft::new("", TOPIC)
            .payload_json(self.payload(sequence))
            .expiration(Expiration::At(now.plus(LIFETIME)))
            .app(APP)
            .reference(&Texts::of(Place { sequence, token: 0 }).reference)
            .build_for(devices, now)
            .map_err(invalid)
    }

    /// The same as the gateway takes it.
    pub(crate) fn shared_json(self, places: &[Place], now: Timestamp) -> String {
        let sequence = places.first().map_or(0, |place| place.sequence);
        let mut text = format!(
            "{{\"topic\":\"{TOPIC}\",\"expires_at\":\"{}\",\"app\":\"{APP}\",\"payload\":{},\"items\":[",
            now.plus(LIFETIME),
            self.payload(sequence)
        );
        for (at, place) in places.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{{\"token\":\"{}\"}}", self.token_hex(place.token));
        }
        text + "]}"
    }

    /// What stands for a token in the simulator's log.
    pub(crate) fn fingerprint(self, token: u64) -> u64 {
        skein_apns_sim::fingerprint(&self.token(token))
    }
}

/// The texts of a notification beside its payload.
struct Texts {
    collapse_id: String,
    user: String,
    reference: String,
}

impl Texts {
    fn of(Place { sequence, token }: Place) -> Self {
        Self {
            // Each its own: none supersedes another.
            collapse_id: format!("chat-{:016x}-{sequence:012}", mix(sequence)),
            user: format!("tenant-{:04}/region-eu-central/user-{:016x}", token % 1000, mix(token)),
            reference: format!(
                "conversation/{:016x}{:016x}/thread/{:016x}/message/{:016x}{:016x}-{sequence:012}/attempt/0/source/im-backend",
                mix(token ^ 1),
                mix(token ^ 2),
                mix(token ^ 3),
                mix(sequence ^ 1),
                mix(sequence ^ 2)
            ),
        }
    }
}

fn invalid(faults: Vec<Fault>) -> anyhow::Error {
    anyhow!("a notification of the bench is not valid: {faults:?}")
}

/// A number's digits, at the end of `digits`, which holds zeros.
fn decimal(mut number: u64, digits: &mut [u8; DECIMALS]) -> &[u8] {
    let mut at = DECIMALS;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// The finaliser of MurmurHash3.
pub(crate) fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use skein_core::{NotificationId, wire};

    use super::*;

    fn now() -> Timestamp {
        NotificationId::now().at()
    }

    #[test]
    fn sizes_are_those_promised() {
        let traffic = Traffic::new(1);
        for sequence in [0, 7, 999_999] {
            assert_eq!(traffic.payload(sequence).len(), PAYLOAD_BYTES);
            for bytes in [PAYLOAD_BYTES_MIN, 233, 1500, 4096] {
                let payload = traffic.payload_of(sequence, bytes);
                let read: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!((payload.len(), read["skein_seq"].as_u64()), (bytes, Some(sequence)));
            }
            let body = wire::encode(&traffic.notification(traffic.single(sequence), now()).unwrap()).unwrap();
            assert!((750..850).contains(&body.len()), "{}: {}", body.len(), String::from_utf8_lossy(&body));
        }
        let places: Vec<Place> = traffic.batch(3, 1500, 500).collect();
        let body = wire::encode_batch(&traffic.shared(&places, now()).unwrap()).unwrap();
        assert!(body.len() <= wire::BODY_BYTES_MAX, "500 items are one message: {}", body.len());
    }

    #[test]
    fn tokens_repeat_and_a_batch_has_each_once() {
        let traffic = Traffic::new(1);
        let drawn: HashSet<u64> = (0..TOKENS).map(|n| traffic.single(n).token).collect();
        assert!((60_000..70_000).contains(&drawn.len()), "{}", drawn.len());
        for batch in 0..20 {
            let places: Vec<Place> = traffic.batch(batch, batch * 500, 500).collect();
            assert!(places.iter().all(|p| Traffic::lane_of(p.token) == batch % LANES && p.token < TOKENS));
            assert_eq!(places.iter().map(|p| p.token).collect::<HashSet<_>>().len(), 500);
        }
        assert_ne!(traffic.token_hex(1), Traffic::new(2).token_hex(1));
    }

    #[test]
    fn what_goes_to_the_gateway_reads_as_notifications() {
        let traffic = Traffic::new(1);
        let one = traffic.notification_json(traffic.single(5), now());
        assert_eq!(wire::read_drafts(one.as_bytes(), now()).unwrap().len(), 1);
        let places: Vec<Place> = traffic.batch(0, 0, 3).collect();
        let many = traffic.shared_json(&places, now());
        assert_eq!(wire::read_drafts(many.as_bytes(), now()).unwrap().len(), 3);
    }
}
