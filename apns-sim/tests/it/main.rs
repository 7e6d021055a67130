//! The simulator over real TLS, as its clients see it.

mod answer;
mod bad_days;
mod broadcast;
mod client;
mod connections;
mod control;
mod credentials;
mod faults;
mod fields;
mod history;
mod interop;
mod requests;
mod wire;
