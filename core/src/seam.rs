//! The seams: what the decisions need from the world, as traits. Each has a version in [`crate::memory`], drivers in the room
//! `backends`, and a suite in [`crate::contract`] that every implementation passes.

mod broker;
mod clock;
mod coordinator;
mod fleet_store;
mod ledger;
mod transport;

pub use broker::{Broker, BrokerError, Confirmation, DeadLetter, Delivery, Inbox, Submit, SubmitError};
pub use clock::Clock;
pub use coordinator::{Assignment, Coordinator, CoordinatorError, OwnedQueue, Standing, Tenure, Word};
pub use fleet_store::{
    Applied, DECISIONS_MAX, FleetStore, FleetView, Lead, Planned, StoredQueue, WISHES_MAX, wishes_max,
};
pub use ledger::{
    DeviceState, Known, Ledger, LedgerError, LookUp, Recorded, Refused, Tally, Trace, TraceEvent,
};
pub use transport::{Answered, Transport, Trouble, TroubleClass, Windows, Write};
