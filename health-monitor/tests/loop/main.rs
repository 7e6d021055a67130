//! The monitor's loop on in-memory seams in paused time.

mod acting;
mod leading;
mod stage;
