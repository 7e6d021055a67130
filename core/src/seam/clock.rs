//! The clock seam.

use crate::lease::BootMillis;
use crate::time::Timestamp;

/// The time. Decisions get it as a value; only the rooms that act ask for it.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// The clock that counts suspended time, never steps and is shared by all processes of a machine.
    fn boot(&self) -> BootMillis;
}
