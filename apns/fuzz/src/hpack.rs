//! Header blocks, decoded beside another decoder: what ours takes, the other reads the same.

use super::script::Script;
use loona_hpack::decoder::DecoderError;
use skein_apns::hpack::{Decoder, Error};

/// SETTINGS_HEADER_TABLE_SIZE of both.
const TABLE_BYTES: usize = 4_096;
/// Decoded bytes that the bounded decoder hands on.
const LIST_BYTES: usize = 200;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8], list_bytes: usize) -> (Fields, Result<(), Error>) {
    let mut fields = Fields::new();
    let outcome =
        decoder.decode(block, list_bytes, |name, value| fields.push((name.to_vec(), value.to_vec())));
    (fields, outcome)
}

/// Decodes a script of blocks on one connection.
pub fn check(data: &[u8]) {
    let mut script = Script::new(data);
    let (mut ours, mut bounded) = (Decoder::new(TABLE_BYTES), Decoder::new(TABLE_BYTES));
    let mut other = loona_hpack::Decoder::new();
    other.set_max_allowed_table_size(TABLE_BYTES);
    while !script.is_over() {
        let block = script.bytes();
        let (fields, outcome) = decode(&mut ours, block, usize::MAX);
        let (few, bounded_outcome) = decode(&mut bounded, block, LIST_BYTES);
        assert!(fields.starts_with(&few), "a bound only cuts off");
        match bounded_outcome {
            Err(Error::ListTooLarge) => assert_eq!(outcome, Ok(()), "and the table stays in step"),
            other => assert_eq!(other, outcome),
        }
        let expected = other.decode(block);
        match outcome {
            // A block of nothing but size updates, which RFC 7541 §4.2 does not forbid.
            Ok(()) if matches!(expected, Err(DecoderError::SizeUpdateAtEnd)) => return,
            Ok(()) => assert_eq!(Ok(fields), expected),
            // The other one lets these pass, or has no bound for them.
            Err(Error::SizeUpdateLate | Error::IntegerTooLarge | Error::TableTooLarge) => return,
            Err(error) => {
                assert!(expected.is_err(), "{error} in {block:02x?}, which reads {expected:?}");
                return;
            }
        }
    }
}
