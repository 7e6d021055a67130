//! The stream limit: what was announced to the client, and what it can be held to.

use super::writer;

/// `SETTINGS_MAX_CONCURRENT_STREAMS` over a connection's life.
#[derive(Debug)]
pub(super) struct StreamLimit {
    max: u32,
    announced: u32,
    enforced: u32,
    /// The newest that is in the bytes being sent.
    sent: u32,
    unacknowledged: u32,
}

impl StreamLimit {
    /// `initial` is part of the connection's first SETTINGS.
    pub(super) fn new(initial: u32, max: u32) -> Self {
        Self { max, announced: initial, enforced: initial, sent: initial, unacknowledged: 1 }
    }

    pub(super) fn raise(&mut self, out: &mut Vec<u8>) {
        self.announce(self.max, out);
    }

    pub(super) fn drop_to_one(&mut self, out: &mut Vec<u8>) {
        self.announce(1, out);
    }

    fn announce(&mut self, streams: u32, out: &mut Vec<u8>) {
        if self.announced != streams {
            self.announced = streams;
            self.unacknowledged += 1;
            writer::stream_limit(streams, out);
        }
    }

    pub(super) fn announced(&self) -> u32 {
        self.announced
    }

    /// The announcement of `streams` is among the bytes being sent.
    pub(super) fn sends(&mut self, streams: u32) {
        self.sent = streams;
    }

    /// A higher limit holds from when the client can know it, ...
    pub(super) fn flushed(&mut self) {
        self.enforced = self.enforced.max(self.sent);
    }

    /// ... a lower one from when it says that it does.
    pub(super) fn acknowledged(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        if self.unacknowledged == 0 {
            self.enforced = self.announced;
        }
    }

    pub(super) fn is_violated_by(&self, open_streams: usize) -> bool {
        open_streams >= self.enforced as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_holds_when_flushed_and_lower_when_acknowledged() {
        let mut out = Vec::new();
        let mut limit = StreamLimit::new(1, 10);
        assert!(!limit.is_violated_by(0) && limit.is_violated_by(1));
        limit.raise(&mut out);
        assert!(limit.is_violated_by(1));
        limit.flushed();
        assert!(limit.is_violated_by(1), "it is still on its way");
        limit.sends(limit.announced());
        limit.flushed();
        assert!(!limit.is_violated_by(9) && limit.is_violated_by(10));
        limit.drop_to_one(&mut out);
        limit.sends(limit.announced());
        limit.flushed();
        limit.acknowledged();
        limit.acknowledged();
        assert!(!limit.is_violated_by(9), "the drop is not acknowledged yet");
        limit.acknowledged();
        assert!(limit.is_violated_by(1));
        assert_eq!(out.len(), 2 * 15, "one SETTINGS frame each");
    }
}
