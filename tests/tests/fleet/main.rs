//! The fleet under faults: real senders, monitors, RabbitMQ, ZooKeeper and PostgreSQL, each row a fault, measured by one clock
//! from the fault to the simulator's read of the new owner's first request.
//!
//! Each row has a quick count, and a full one with `SKEIN_FAULTS=full`. Its figures go to `target/figures/fleet.json`. What holds
//! after every row is in `outcome`.

mod acts;
mod bounds;
mod clock;
mod cut_broker;
mod cut_silent;
mod ensembles;
mod freeze;
mod half_gone;
mod hand_over;
mod kill_gone;
mod kill_restarted;
mod late_word;
mod live_settings;
mod member;
mod operations;
mod outcome;
mod places;
mod plan;
mod rig;
mod rolling_restart;
mod rotation;
mod rounds;
mod takeover;
mod timeline;
mod watch;
mod zookeeper_away;
