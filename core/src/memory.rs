//! The seams in memory: for tests, for the simulation of a fleet in paused time, and (the coordinator) for engines without
//! a control plane. Each passes the suite of its seam in [`crate::contract`]; nothing here outlives the process.

mod broker;
mod clock;
mod coordinator;
mod fleet;
mod inbox;
mod ledger;
mod ledger_state;
mod queue;
mod seat;
mod transport;

pub use broker::{Keeping, MemoryBroker, QUEUE_MESSAGES_MAX};
pub use clock::PausedClock;
pub use coordinator::StaticCoordinator;
pub use fleet::{MemoryFleet, MemoryLead};
pub use inbox::{Beat, MemoryInbox, Pulse};
pub use ledger::MemoryLedger;
pub use queue::{Depth, Message};
pub use seat::MemoryCoordinator;
pub use transport::{Reaction, ScriptedTransport};

#[cfg(test)]
mod faults;
