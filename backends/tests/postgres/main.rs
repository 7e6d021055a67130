//! The ledger over a real PostgreSQL.

mod contract;
mod faults;
mod setup;
mod tls;
