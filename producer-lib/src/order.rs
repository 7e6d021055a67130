//! Whose turn it is: of one device token, one message is under way at a time, so that a nack, a return or a lost connection
//! can never let a later one overtake it. Messages of different tokens don't wait for each other.

use std::hash::{BuildHasherDefault, Hasher};

use hashbrown::HashMap;
use smallvec::SmallVec;

/// A message's number, growing in the order of submission.
pub(crate) type Seq = u64;

/// Token hashes are finished already (fmix64).
#[derive(Default)]
struct Finished(u64);

impl Hasher for Finished {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The lines of messages, one per token hash. Two tokens of one hash share a line, which only costs time.
#[derive(Default)]
pub(crate) struct Order {
    lines: HashMap<u64, SmallVec<[Seq; 2]>, BuildHasherDefault<Finished>>,
    /// In how many of its lines a message is not first.
    waits: HashMap<Seq, usize>,
}

impl Order {
    /// Lines a message up behind its tokens' earlier ones (`tokens` without repeats). True if it may go at once.
    pub(crate) fn enter(&mut self, seq: Seq, tokens: &[u64]) -> bool {
        let mut behind = 0;
        for token in tokens {
            let line = self.lines.entry(*token).or_default();
            behind += usize::from(!line.is_empty());
            line.push(seq);
        }
        if behind > 0 {
            self.waits.insert(seq, behind);
        }
        behind == 0
    }

    /// A message is through, or given up, wherever it stood. Appends those that may go now, in order.
    pub(crate) fn leave(&mut self, seq: Seq, tokens: &[u64], free: &mut Vec<Seq>) {
        self.waits.remove(&seq);
        let first_free = free.len();
        for token in tokens {
            let Some(line) = self.lines.get_mut(token) else { continue };
            let Some(place) = line.iter().position(|s| *s == seq) else { continue };
            line.remove(place);
            match line.first() {
                None => {
                    self.lines.remove(token);
                }
                Some(next) if place == 0 => {
                    if let Some(behind) = self.waits.get_mut(next) {
                        *behind -= 1;
                        if *behind == 0 {
                            self.waits.remove(next);
                            free.push(*next);
                        }
                    }
                }
                Some(_) => {}
            }
        }
        free[first_free..].sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(order: &mut Order, seq: Seq, tokens: &[u64]) -> Vec<Seq> {
        let mut free = Vec::new();
        order.leave(seq, tokens, &mut free);
        free
    }

    #[test]
    fn one_at_a_time_per_token_and_others_pass() {
        let mut order = Order::default();
        assert!(order.enter(1, &[10]));
        assert!(!order.enter(2, &[10, 20]), "P2: behind 1");
        assert!(!order.enter(3, &[20, 30]), "P2: behind 2, which waits itself");
        assert!(order.enter(4, &[40]));
        assert_eq!(left(&mut order, 1, &[10]), [2]);
        assert!(left(&mut order, 4, &[40]).is_empty());
        assert_eq!(left(&mut order, 2, &[10, 20]), [3]);
        assert!(left(&mut order, 3, &[20, 30]).is_empty());
        assert!(order.lines.is_empty() && order.waits.is_empty());
    }

    #[test]
    fn giving_up_in_the_middle_frees_nobody_too_early() {
        let mut order = Order::default();
        assert!(order.enter(1, &[10]));
        assert!(!order.enter(2, &[10]));
        assert!(!order.enter(3, &[10]));
        assert!(left(&mut order, 2, &[10]).is_empty(), "P2: 1 is still under way");
        assert_eq!(left(&mut order, 1, &[10]), [3]);
        assert!(left(&mut order, 3, &[10]).is_empty());
        assert!(order.lines.is_empty() && order.waits.is_empty());
    }
}
