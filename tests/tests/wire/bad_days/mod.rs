//! Bad days, over real TLS: servers that leave, vanish, lie or say no, and what the client and the whole sender make of it.
//!
//! Each is counted by the simulator, or by a hostile server of its own. `SKEIN_FAULTS=full` runs the full counts; figures go to
//! `target/figures/bad-days.json`.

mod alarms;
mod crowd;
mod hostile_server;
mod kept;
mod rig;
mod tunnel;

mod credentials;
mod cut;
mod everything;
mod goaway;
mod hostile;
mod outages;
mod rotation;
mod windows;

/// Whether scenarios run at full length.
fn is_full() -> bool {
    std::env::var("SKEIN_FAULTS").is_ok_and(|value| value == "full")
}
