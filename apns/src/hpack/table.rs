//! The dynamic table of an HPACK decoder (RFC 7541 §2.3.2), in one flat buffer.

use super::ENTRY_OVERHEAD;
use std::collections::VecDeque;

#[derive(Clone, Copy)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
}

/// Entries leave in the order they came, so that their bytes stay one contiguous run of `bytes`; the run moves
/// to the front when its end reaches twice the table's size. Nothing is allocated once that has been reached.
pub(super) struct Table {
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    size: usize,
    max_size: usize,
}

impl Table {
    pub(super) fn new(max_size: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: Vec::new(), size: 0, max_size }
    }

    /// The entry at `index`, 0 for the newest.
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let entry = self.entries.get(self.entries.len().checked_sub(index + 1)?)?;
        let name = entry.start as usize;
        let value = name + entry.name_len as usize;
        Some((&self.bytes[name..value], &self.bytes[value..value + entry.value_len as usize]))
    }

    pub(super) fn resize(&mut self, max_size: usize) {
        self.max_size = max_size;
        self.evict(0);
    }

    /// Enters a field as the newest; one larger than the table empties it, which is no error (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(size);
        if size > self.max_size {
            return;
        }
        if self.bytes.len() + name.len() + value.len() > 2 * self.max_size {
            self.move_to_front();
        }
        self.entries.push_back(Entry {
            start: self.bytes.len() as u32,
            name_len: name.len() as u32,
            value_len: value.len() as u32,
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.max_size
            && let Some(entry) = self.entries.pop_front()
        {
            self.size -= (entry.name_len + entry.value_len) as usize + ENTRY_OVERHEAD;
        }
        if self.entries.is_empty() {
            self.bytes.clear();
        }
    }

    fn move_to_front(&mut self) {
        let first = self.entries.front().map_or(self.bytes.len(), |entry| entry.start as usize);
        self.bytes.drain(..first);
        for entry in &mut self.entries {
            entry.start -= first as u32;
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_leave_first_and_the_buffer_stays_bounded() {
        let mut table = Table::new(200);
        for n in 0..10_000u32 {
            table.insert(b"name", n.to_string().as_bytes());
            assert!(table.size() <= 200);
            assert!(table.bytes.len() <= 400);
            assert_eq!(table.get(0), Some((&b"name"[..], n.to_string().as_bytes())));
            if n > 5 {
                assert_eq!(table.get(3).unwrap().1, (n - 3).to_string().as_bytes());
            }
        }
        assert_eq!(table.get(table.entries.len()), None);
    }

    #[test]
    fn an_entry_larger_than_the_table_empties_it() {
        let mut table = Table::new(100);
        table.insert(b"a", b"b");
        table.insert(b"a", &[b'x'; 100]);
        assert_eq!(table.get(0), None);
        assert_eq!(table.size(), 0);
    }
}
