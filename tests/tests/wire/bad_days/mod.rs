//! Bad days, over real TLS: servers that leave, vanish, lie or say no, and what the client and the whole sender make of it.
//!
//! Each is counted by the simulator, or by a hostile server of its own. `SKEIN_FAULTS=full` runs the full counts; figures go to
//! `target/figures/bad-days.json`.

mod crowd;
mod cut;
mod goaway;
mod hostile;
mod hostile_server;
