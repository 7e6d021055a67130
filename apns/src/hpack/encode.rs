//! HPACK encoding, by hand: the caller chooses the form of each field.

/// What the peer's decoder, and every hop on the way, is to do with a field (RFC 7541 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// Enter it into the dynamic table.
    Incremental,
    /// Don't enter it.
    Without,
    /// Don't enter it, here or at any later hop: for secrets and ids.
    Never,
}

/// How a literal field names itself.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    /// By an index of the static (1..=61) or dynamic (62..) table.
    Index(usize),
    /// By its bytes, lower case.
    Literal(&'a [u8]),
}

/// Appends a field that a table holds whole (RFC 7541 §6.1).
pub fn encode_indexed(index: usize, out: &mut Vec<u8>) {
    encode_integer(index, 7, 0x80, out);
}

/// Appends a field with a literal value (RFC 7541 §6.2). The caller keeps account of the peer's dynamic
/// table if it uses [`Indexing::Incremental`] and refers to the entry later.
pub fn encode_literal(indexing: Indexing, name: Name<'_>, value: &[u8], out: &mut Vec<u8>) {
    let (prefix_bits, pattern) = match indexing {
        Indexing::Incremental => (6, 0x40),
        Indexing::Without => (4, 0x00),
        Indexing::Never => (4, 0x10),
    };
    match name {
        Name::Index(index) => encode_integer(index, prefix_bits, pattern, out),
        Name::Literal(bytes) => {
            out.push(pattern);
            encode_string(bytes, out);
        }
    }
    encode_string(value, out);
}

/// Appends a dynamic table size update (RFC 7541 §6.3), valid only at a block's start.
pub fn encode_size_update(max_bytes: usize, out: &mut Vec<u8>) {
    encode_integer(max_bytes, 5, 0x20, out);
}

/// Appends an integer whose first byte has `prefix_bits` (1..=8) to spare beside `pattern` (RFC 7541 §5.1).
pub fn encode_integer(value: usize, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let limit = (1usize << prefix_bits) - 1;
    if value < limit {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | limit as u8);
    let mut rest = value - limit;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a string without Huffman coding (RFC 7541 §5.2).
pub fn encode_string(bytes: &[u8], out: &mut Vec<u8>) {
    encode_integer(bytes.len(), 7, 0x00, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn integers_as_in_rfc_7541_c_1() {
        assert_eq!(encoded(|out| encode_integer(10, 5, 0, out)), [0x0a]);
        assert_eq!(encoded(|out| encode_integer(1337, 5, 0, out)), [0x1f, 0x9a, 0x0a]);
        assert_eq!(encoded(|out| encode_integer(42, 8, 0, out)), [0x2a]);
        assert_eq!(encoded(|out| encode_integer(31, 5, 0, out)), [0x1f, 0x00]);
    }

    #[test]
    fn literals_as_in_rfc_7541_c_2() {
        let incremental = encoded(|out| {
            encode_literal(Indexing::Incremental, Name::Literal(b"custom-key"), b"custom-header", out)
        });
        assert_eq!(incremental, b"\x40\x0acustom-key\x0dcustom-header");
        let without = encoded(|out| encode_literal(Indexing::Without, Name::Index(4), b"/sample/path", out));
        assert_eq!(without, b"\x04\x0c/sample/path");
        let never =
            encoded(|out| encode_literal(Indexing::Never, Name::Literal(b"password"), b"secret", out));
        assert_eq!(never, b"\x10\x08password\x06secret");
        assert_eq!(encoded(|out| encode_indexed(2, out)), [0x82]);
    }
}
