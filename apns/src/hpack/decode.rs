//! HPACK decoding, bounded against hostile input.

use super::static_table::STATIC;
use super::table::Table;
use super::{ENTRY_OVERHEAD, Error, huffman};

/// The largest integer that a header block may hold: lengths and indexes above it are refused before they are used.
const MAX_INTEGER: usize = 1 << 24;

/// Decodes the header blocks of one direction of one connection, in order.
pub struct Decoder {
    table: Table,
    max_table_bytes: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// `max_table_bytes` is the SETTINGS_HEADER_TABLE_SIZE that we announced (4096 if we did not).
    pub fn new(max_table_bytes: usize) -> Self {
        Self { table: Table::new(max_table_bytes), max_table_bytes, name: Vec::new(), value: Vec::new() }
    }

    /// Calls `sink(name, value)` for each field of a complete block, in order.
    ///
    /// The caller bounds `block`; memory beyond it is at most 8/5 of its length. A list of more than
    /// `max_list_bytes` (32 counted for each field) is read to its end without further calls of `sink`,
    /// so that the table stays in step, and ends in [`Error::ListTooLarge`].
    pub fn decode(
        &mut self,
        block: &[u8],
        max_list_bytes: usize,
        mut sink: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Error> {
        let mut input = Input { rest: block };
        let mut list_bytes = 0usize;
        let mut may_resize = true;
        let mut emit = |name: &[u8], value: &[u8]| {
            list_bytes = list_bytes.saturating_add(name.len() + value.len() + ENTRY_OVERHEAD);
            if list_bytes <= max_list_bytes {
                sink(name, value);
            }
        };
        while let Some(&first) = input.rest.first() {
            if first & 0x80 != 0 {
                let index = input.integer(7)?;
                let (name, value) = field(&self.table, index)?;
                emit(name, value);
            } else if first & 0x40 != 0 {
                let index = input.integer(6)?;
                let name = if index == 0 {
                    input.string(&mut self.name)?
                } else {
                    // Copied, since the entry that lends its name may be evicted by its own successor.
                    self.name.clear();
                    self.name.extend_from_slice(field(&self.table, index)?.0);
                    &self.name
                };
                let value = input.string(&mut self.value)?;
                emit(name, value);
                self.table.insert(name, value);
            } else if first & 0x20 != 0 {
                let size = input.integer(5)?;
                if !may_resize {
                    return Err(Error::SizeUpdateLate);
                }
                if size > self.max_table_bytes {
                    return Err(Error::TableTooLarge);
                }
                self.table.resize(size);
                continue;
            } else {
                let index = input.integer(4)?;
                let name = input.name(index, &self.table, &mut self.name)?;
                let value = input.string(&mut self.value)?;
                emit(name, value);
            }
            may_resize = false;
        }
        if list_bytes > max_list_bytes { Err(Error::ListTooLarge) } else { Ok(()) }
    }
}

fn field(table: &Table, index: usize) -> Result<(&[u8], &[u8]), Error> {
    match index.checked_sub(1) {
        None => Err(Error::BadIndex),
        Some(n) if n < STATIC.len() => Ok(STATIC[n]),
        Some(n) => table.get(n - STATIC.len()).ok_or(Error::BadIndex),
    }
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn integer(&mut self, prefix_bits: u32) -> Result<usize, Error> {
        let limit = (1usize << prefix_bits) - 1;
        let mut value = self.byte()? as usize & limit;
        if value < limit {
            return Ok(value);
        }
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            value += (byte as usize & 0x7f) << shift;
            // The shift bounds runs of zero bytes, which add nothing.
            if value > MAX_INTEGER || shift > 21 {
                return Err(Error::IntegerTooLarge);
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    fn string<'s>(&mut self, scratch: &'s mut Vec<u8>) -> Result<&'s [u8], Error>
    where
        'a: 's,
    {
        let huffman_coded = self.rest.first().ok_or(Error::Truncated)? & 0x80 != 0;
        let len = self.integer(7)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Error::Truncated)?;
        self.rest = rest;
        if !huffman_coded {
            return Ok(bytes);
        }
        scratch.clear();
        huffman::decode(bytes, scratch)?;
        Ok(scratch)
    }

    fn name<'s>(
        &mut self,
        index: usize,
        table: &'s Table,
        scratch: &'s mut Vec<u8>,
    ) -> Result<&'s [u8], Error>
    where
        'a: 's,
    {
        if index == 0 { self.string(scratch) } else { Ok(field(table, index)?.0) }
    }
}

#[cfg(test)]
mod tests;
