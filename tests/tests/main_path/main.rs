//! The main path as its users and its enemies see it: the real binary on real RabbitMQ and PostgreSQL, and in one process.
//!
//! Each scenario has a quick count, and a full one with `SKEIN_FAULTS=full`; the full ones' figures go to
//! `target/figures/main-path.json`. What is checked after each is in `scenario`.

mod bad_input;
mod broker_restarted;
mod demo;
mod doors;
mod embedded;
mod ledger_away;
mod members;
mod producer_cut;
mod reloading;
mod scenario;
mod sender_lost;
mod starting;
mod stopping;
mod traces;

use skein_test_site::{books, fleet, keys, load, site};
