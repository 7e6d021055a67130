//! HPACK (RFC 7541): full decoding, bounded against hostile input, and the few ways of encoding that are used.

mod decode;
mod encode;
mod huffman;
mod static_table;
mod table;

pub use decode::Decoder;
pub use encode::{
    Indexing, Name, encode_indexed, encode_integer, encode_literal, encode_size_update, encode_string,
};

/// Bytes that each entry costs beyond its name and value (RFC 7541 §4.1).
pub const ENTRY_OVERHEAD: usize = 32;

/// Why a header block can't be decoded. All but `ListTooLarge` end the connection (COMPRESSION_ERROR):
/// the dynamic table can no longer be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The block ends inside a field.
    #[error("the header block ends inside a field")]
    Truncated,
    /// An integer that no header block of a sane size needs.
    #[error("a header block integer is too large")]
    IntegerTooLarge,
    /// An index that neither table has.
    #[error("a header field refers to an index that does not exist")]
    BadIndex,
    /// Huffman data with the EOS symbol, or with padding that is too long or not all ones.
    #[error("a header string is not valid huffman data")]
    BadHuffman,
    /// A size update above what we allowed.
    #[error("the peer's header table is larger than allowed")]
    TableTooLarge,
    /// A size update that is not at the block's start (RFC 7541 §4.2).
    #[error("a header table size update is not at the start of its block")]
    SizeUpdateLate,
    /// The decoded list exceeds the caller's bound; the table was kept in step, the connection can go on.
    #[error("the decoded header list is larger than allowed")]
    ListTooLarge,
}
