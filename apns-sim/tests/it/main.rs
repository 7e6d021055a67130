//! The simulator over real TLS, as its clients see it.

mod answer;
mod bad_days;
mod broadcast;
mod client;
mod connections;
mod control;
mod credentials;
mod everything;
mod faults;
mod fields;
mod history;
mod interop;
mod plain;
mod requests;
mod wire;
