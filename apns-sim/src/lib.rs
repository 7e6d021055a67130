//! An APNs that behaves like Apple's, with faults on demand
pub mod checker;
pub mod clock;
mod devices;
pub mod faults;
pub mod fingerprint;
pub mod log;
pub mod payload;
pub mod push_type;
pub mod reason;
pub mod registry;
pub mod request;
