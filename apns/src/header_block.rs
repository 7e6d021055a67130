//! Header blocks of requests, pre-encoded for each topic, push type and priority.
//!
//! Fields that rarely change enter the peer's dynamic table once and are one byte from then on. Nothing is ever evicted:
//! when the table is full, fields are written out. Path and ids are never-indexed literals.

use crate::hpack::{ENTRY_OVERHEAD, Indexing, Name, encode_indexed, encode_literal, encode_size_update};
use crate::request::{Expiration, Priority, PushType, Request};
use crate::secret::Secret;
use std::sync::Arc;

/// Bytes of the peer's dynamic table that we use at most.
const TABLE_BYTES_MAX: usize = 4_096;
/// Combinations of topic, push type and priority that are kept pre-encoded on a connection.
const TEMPLATES_MAX: usize = 64;

const STATIC_AUTHORITY: usize = 1;
const STATIC_METHOD_POST: usize = 3;
const STATIC_PATH: usize = 4;
const STATIC_SCHEME_HTTPS: usize = 7;
const STATIC_AUTHORIZATION: usize = 23;
const STATIC_ENTRIES: usize = 61;

struct Template {
    topic: Arc<str>,
    push_type: PushType,
    priority: Priority,
    /// The table's generation that `head` and `tail` refer to; 0 for none.
    generation: u64,
    /// Pseudo fields before the path, and fields after it.
    head: Vec<u8>,
    tail: Vec<u8>,
}

pub(crate) struct HeaderBlocks {
    authority: Box<str>,
    authorization: Option<Secret>,
    entries: Vec<(&'static [u8], Secret)>,
    entry_bytes: usize,
    table_max: usize,
    size_updates: Vec<usize>,
    /// Grows with each change of the table, since every index shifts.
    generation: u64,
    templates: Vec<Template>,
    replace_next: usize,
}

impl HeaderBlocks {
    /// `authorization` is the whole header value.
    pub(crate) fn new(authority: Box<str>, authorization: Option<Secret>) -> Self {
        Self {
            authority,
            authorization,
            entries: Vec::new(),
            entry_bytes: 0,
            table_max: TABLE_BYTES_MAX,
            size_updates: Vec::new(),
            generation: 1,
            templates: Vec::new(),
            replace_next: 0,
        }
    }

    /// Takes the peer's SETTINGS_HEADER_TABLE_SIZE. A smaller table is begun anew; a larger one is not used.
    pub(crate) fn set_peer_table(&mut self, max_bytes: usize) {
        if max_bytes >= self.table_max {
            return;
        }
        self.entries.clear();
        self.entry_bytes = 0;
        self.table_max = max_bytes;
        self.size_updates = vec![0, max_bytes];
        self.generation += 1;
    }

    /// Begins a block: appends what must come before its first field.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        for size in self.size_updates.drain(..) {
            encode_size_update(size, out);
        }
    }

    /// Appends the block of `request`.
    pub(crate) fn encode(&mut self, request: &Request, out: &mut Vec<u8>) {
        self.begin(out);
        let index = self.template(request);
        if self.templates[index].generation != self.generation {
            self.rebuild(index);
        }
        let template = &self.templates[index];
        out.extend_from_slice(&template.head);
        push_path(&request.token, out);
        out.extend_from_slice(&template.tail);
        push_ids(request, out);
    }

    fn template(&mut self, request: &Request) -> usize {
        let same = |t: &Template| {
            t.priority == request.priority && t.push_type == request.push_type && t.topic == request.topic
        };
        if let Some(index) = self.templates.iter().position(same) {
            return index;
        }
        let fresh = Template {
            topic: request.topic.clone(),
            push_type: request.push_type,
            priority: request.priority,
            generation: 0,
            head: Vec::new(),
            tail: Vec::new(),
        };
        if self.templates.len() < TEMPLATES_MAX {
            self.templates.push(fresh);
            return self.templates.len() - 1;
        }
        let index = self.replace_next % TEMPLATES_MAX;
        self.replace_next += 1;
        self.templates[index] = fresh;
        index
    }

    /// Encodes a template for the table as it is. If that adds to the table, the bytes serve only once.
    fn rebuild(&mut self, index: usize) {
        let before = self.generation;
        let template = &self.templates[index];
        let (topic, push_type, priority) = (template.topic.clone(), template.push_type, template.priority);
        let (mut head, mut tail) = (Vec::new(), Vec::new());
        encode_indexed(STATIC_METHOD_POST, &mut head);
        encode_indexed(STATIC_SCHEME_HTTPS, &mut head);
        let authority = self.authority.clone();
        self.field(b":authority", Some(STATIC_AUTHORITY), authority.as_bytes(), &mut head);
        if let Some(authorization) = self.authorization.clone() {
            self.field(b"authorization", Some(STATIC_AUTHORIZATION), authorization.expose(), &mut tail);
        }
        self.field(b"apns-topic", None, topic.as_bytes(), &mut tail);
        self.field(b"apns-push-type", None, push_type.label().as_bytes(), &mut tail);
        self.field(b"apns-priority", None, priority.label().as_bytes(), &mut tail);
        let template = &mut self.templates[index];
        template.head = head;
        template.tail = tail;
        template.generation = if self.generation == before { before } else { 0 };
    }

    fn field(&mut self, name: &'static [u8], static_name: Option<usize>, value: &[u8], out: &mut Vec<u8>) {
        if let Some(position) = self.entries.iter().position(|(n, v)| *n == name && v.expose() == value) {
            return encode_indexed(STATIC_ENTRIES + self.entries.len() - position, out);
        }
        let wire_name = static_name.map_or(Name::Literal(name), Name::Index);
        let bytes = name.len() + value.len() + ENTRY_OVERHEAD;
        if self.entry_bytes + bytes <= self.table_max {
            self.entries.push((name, Secret::new(value.to_vec())));
            self.entry_bytes += bytes;
            self.generation += 1;
            encode_literal(Indexing::Incremental, wire_name, value, out);
        } else {
            encode_literal(Indexing::Never, wire_name, value, out);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn push_path(token: &[u8], out: &mut Vec<u8>) {
    const PREFIX: &[u8] = b"/3/device/";
    encode_never_indexed_prefix(STATIC_PATH, PREFIX.len() + 2 * token.len(), out);
    out.extend_from_slice(PREFIX);
    out.extend(token.iter().flat_map(|byte| [HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]]));
}

/// First byte of a never-indexed literal with an indexed name, and the length of the value that follows.
fn encode_never_indexed_prefix(name: usize, value_len: usize, out: &mut Vec<u8>) {
    crate::hpack::encode_integer(name, 4, 0x10, out);
    crate::hpack::encode_integer(value_len, 7, 0, out);
}

fn push_ids(request: &Request, out: &mut Vec<u8>) {
    let mut id = uuid::Uuid::encode_buffer();
    let id = uuid::Uuid::from_bytes(request.apns_id).hyphenated().encode_lower(&mut id);
    out.extend_from_slice(b"\x10\x07apns-id\x24");
    out.extend_from_slice(id.as_bytes());
    match request.expiration {
        Expiration::Unset => {}
        Expiration::NotStored => out.extend_from_slice(b"\x10\x0fapns-expiration\x010"),
        Expiration::At(seconds) => {
            let mut digits = [0u8; 20];
            let mut start = digits.len();
            let mut rest = seconds;
            loop {
                start -= 1;
                digits[start] = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            encode_literal(Indexing::Never, Name::Literal(b"apns-expiration"), &digits[start..], out);
        }
    }
    if let Some(collapse_id) = &request.collapse_id {
        encode_literal(Indexing::Never, Name::Literal(b"apns-collapse-id"), collapse_id.as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hpack::Decoder;
    use bytes::Bytes;

    fn request(topic: &str, priority: Priority, expiration: Expiration) -> Request {
        Request {
            key: 1,
            token: Bytes::from_static(&[0xab, 0x01]),
            topic: topic.into(),
            push_type: PushType::Alert,
            priority,
            expiration,
            collapse_id: (expiration == Expiration::Unset).then(|| "c".into()),
            apns_id: [0x11; 16],
            payload: Bytes::from_static(b"{}"),
        }
    }

    fn round_trip(
        blocks: &mut HeaderBlocks,
        decoder: &mut Decoder,
        request: &Request,
    ) -> (usize, Vec<String>) {
        let mut out = Vec::new();
        blocks.encode(request, &mut out);
        let mut fields = Vec::new();
        decoder
            .decode(&out, 16_384, |name, value| {
                fields.push(format!("{}={}", str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap()));
            })
            .unwrap();
        (out.len(), fields)
    }

    fn expected(topic: &str, priority: &str, rest: &[&str]) -> Vec<String> {
        let mut fields: Vec<String> = [
            ":method=POST",
            ":scheme=https",
            ":authority=api.push.apple.com",
            ":path=/3/device/ab01",
            "authorization=bearer x",
            &format!("apns-topic={topic}"),
            "apns-push-type=alert",
            &format!("apns-priority={priority}"),
            "apns-id=11111111-1111-1111-1111-111111111111",
        ]
        .map(str::to_owned)
        .to_vec();
        fields.extend(rest.iter().map(|s| s.to_string()));
        fields
    }

    #[test]
    fn every_block_decodes_and_repeats_get_short() {
        let mut blocks =
            HeaderBlocks::new("api.push.apple.com".into(), Some(Secret::from("bearer x".to_owned())));
        let mut decoder = Decoder::new(4096);
        let a = request("com.example.a", Priority::Immediate, Expiration::NotStored);
        let b = request("com.example.b", Priority::PowerAware, Expiration::At(1_700_000_000));
        let c = request("com.example.a", Priority::PowerAware, Expiration::Unset);
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let (size, fields) = round_trip(&mut blocks, &mut decoder, &a);
            assert_eq!(fields, expected("com.example.a", "10", &["apns-expiration=0"]));
            sizes.push(size);
            let (_, fields) = round_trip(&mut blocks, &mut decoder, &b);
            assert_eq!(fields, expected("com.example.b", "5", &["apns-expiration=1700000000"]));
            let (_, fields) = round_trip(&mut blocks, &mut decoder, &c);
            assert_eq!(fields, expected("com.example.a", "5", &["apns-collapse-id=c"]));
        }
        assert!(sizes[1] < sizes[0] && sizes[2] == sizes[1], "{sizes:?}");
        blocks.set_peer_table(60);
        for _ in 0..2 {
            let (_, fields) = round_trip(&mut blocks, &mut decoder, &a);
            assert_eq!(fields, expected("com.example.a", "10", &["apns-expiration=0"]));
        }
        blocks.set_peer_table(0);
        for _ in 0..2 {
            let (_, fields) = round_trip(&mut blocks, &mut decoder, &b);
            assert_eq!(fields, expected("com.example.b", "5", &["apns-expiration=1700000000"]));
        }
    }

    #[test]
    fn more_topics_than_templates_or_table_still_decode() {
        let mut blocks =
            HeaderBlocks::new("api.push.apple.com".into(), Some(Secret::from("bearer x".to_owned())));
        let mut decoder = Decoder::new(4096);
        for round in 0..2 {
            for n in 0..200 {
                let topic = format!("com.example.app{n}");
                let (_, fields) = round_trip(
                    &mut blocks,
                    &mut decoder,
                    &request(&topic, Priority::Immediate, Expiration::NotStored),
                );
                assert_eq!(fields, expected(&topic, "10", &["apns-expiration=0"]), "round {round}");
            }
            assert!(blocks.templates.len() <= TEMPLATES_MAX);
        }
    }
}
