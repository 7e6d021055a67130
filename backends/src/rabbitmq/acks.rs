//! Which settlements go out as which acknowledgements: one `multiple` for the settled front of what is outstanding, single
//! ones for what is settled behind it.

use std::collections::VecDeque;

/// One `basic.ack`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    /// This tag alone.
    One(u64),
    /// This tag and everything outstanding before it.
    UpTo(u64),
}

/// The deliveries of one channel that are not acknowledged. Tags grow by one with each delivery.
#[derive(Default)]
pub(super) struct Acks {
    /// The tag of the first in `settled`.
    first: u64,
    /// Per outstanding tag, whether it has been acknowledged singly.
    settled: VecDeque<bool>,
}

impl Acks {
    /// A delivery has come.
    pub(super) fn delivered(&mut self, tag: u64) {
        if self.settled.is_empty() {
            self.first = tag;
        }
        self.settled.push_back(false);
    }

    /// Settles tags and says how. Tags that are not outstanding are passed over: acknowledging one twice would end the channel.
    pub(super) fn settle(&mut self, tags: &mut Vec<u64>, acks: &mut Vec<Ack>) {
        tags.retain(|tag| match tag.checked_sub(self.first).and_then(|at| usize::try_from(at).ok()) {
            Some(at) if self.settled.get(at) == Some(&false) => {
                self.settled[at] = true;
                true
            }
            _ => false,
        });
        let mut front = 0;
        while self.settled.front() == Some(&true) {
            self.settled.pop_front();
            self.first += 1;
            front += 1;
        }
        // The front may end in tags acknowledged earlier; a `multiple` must name one that the broker still knows.
        let last_new = tags.iter().copied().filter(|tag| *tag < self.first).max();
        if let Some(last) = last_new.filter(|_| front > 0) {
            acks.push(Ack::UpTo(last));
        }
        acks.extend(tags.drain(..).filter(|tag| *tag >= self.first).map(Ack::One));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(acks: &mut Acks, tags: &[u64]) -> Vec<Ack> {
        let mut out = Vec::new();
        acks.settle(&mut tags.to_vec(), &mut out);
        out
    }

    fn with(deliveries: u64) -> Acks {
        let mut acks = Acks::default();
        (1..=deliveries).for_each(|tag| acks.delivered(tag));
        acks
    }

    #[test]
    fn the_front_goes_in_one() {
        let mut acks = with(6);
        assert_eq!(settle(&mut acks, &[2, 1, 3]), [Ack::UpTo(3)]);
        assert_eq!(settle(&mut acks, &[6, 5]), [Ack::One(6), Ack::One(5)]);
        assert_eq!(settle(&mut acks, &[4]), [Ack::UpTo(4)], "not 6, which the broker has forgotten");
        acks.delivered(7);
        assert_eq!(settle(&mut acks, &[7]), [Ack::UpTo(7)]);
    }

    #[test]
    fn a_tag_is_settled_once() {
        let mut acks = with(3);
        assert_eq!(settle(&mut acks, &[2, 2]), [Ack::One(2)]);
        assert_eq!(settle(&mut acks, &[2, 9, 0]), []);
        assert_eq!(settle(&mut acks, &[1, 1]), [Ack::UpTo(1)]);
        assert_eq!(settle(&mut acks, &[1, 2]), []);
    }

    #[test]
    fn every_order_acknowledges_each_exactly_once() {
        // A plain model of the broker: an ack of something that is not outstanding is an error.
        let mut random = 1_u64;
        for _ in 0..500 {
            let mut acks = with(40);
            let mut outstanding: std::collections::BTreeSet<u64> = (1..=40).collect();
            let mut left: Vec<u64> = (1..=40).collect();
            while !left.is_empty() {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let count = 1 + (random >> 33) as usize % left.len().min(7);
                let start = (random >> 45) as usize % (left.len() - count + 1);
                let tags: Vec<u64> = left.drain(start..start + count).collect();
                for ack in settle(&mut acks, &tags) {
                    match ack {
                        Ack::One(tag) => assert!(outstanding.remove(&tag)),
                        Ack::UpTo(tag) => {
                            assert!(outstanding.contains(&tag));
                            outstanding = outstanding.split_off(&(tag + 1));
                        }
                    }
                }
                let unsettled: Vec<u64> = left.clone();
                assert_eq!(outstanding.iter().copied().collect::<Vec<_>>(), unsettled, "P1: never too early");
            }
        }
    }
}
