//! Floods: frames that serve no request, and frames to answer from a peer that does not read the answers.

use super::Connection;
use super::config::{Fault, IDLE_FRAMES_MAX, OUT_FLOOD_BYTES};
use crate::frame::error_code;
use std::time::{Duration, Instant};

/// What [`IDLE_FRAMES_MAX`] is counted over.
const SPAN: Duration = Duration::from_secs(1);

/// Counts frames between two replies.
pub(super) struct Flood {
    frames: u32,
    since: Instant,
}

const fn fault(what: &'static str) -> Fault {
    Fault { code: error_code::ENHANCE_YOUR_CALM, what }
}

impl Flood {
    pub(super) fn new(now: Instant) -> Self {
        Self { frames: 0, since: now }
    }

    pub(super) fn answered(&mut self) {
        self.frames = 0;
    }

    pub(super) fn frame(&mut self, now: Instant) -> Result<(), Fault> {
        self.frames += 1;
        if self.frames <= IDLE_FRAMES_MAX {
            return Ok(());
        }
        if now.saturating_duration_since(self.since) < SPAN {
            return Err(fault("a flood of frames that serve no request"));
        }
        *self = Self::new(now);
        Ok(())
    }
}

impl Connection {
    /// Frames that we must answer, sent by a peer that does not read the answers.
    pub(super) fn check_flood(&self) -> Result<(), Fault> {
        if self.outgoing().len() > OUT_FLOOD_BYTES {
            return Err(fault("a flood of frames to answer"));
        }
        Ok(())
    }
}
