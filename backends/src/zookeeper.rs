//! The coordinator seam over ZooKeeper: membership, assignment and the leader latch, below one chroot a cluster.
//!
//! | file | what it decides or holds |
//! | --- | --- |
//! | `options` | how ZooKeeper is reached, and whose the nodes are |
//! | `tls` | whom to trust, who we are, why a server refuses |
//! | `rights` | who may do what to which node |
//! | `cluster` | what `skein cluster init` makes |
//! | `probe` | trying what must be refused |
//! | `tree` | which node holds what |
//! | `connection` | a session at a time, with pauses in between |
//! | `nodes` | reading and writing nodes, within bounds |
//! | `membership` | a sender joins, says how it is, reads its assignment |
//! | `inherit` | what an earlier life owned, claimed with the place |
//! | `seat` | what a sender knows, session or not |
//! | `succession` | who takes whose place |
//! | `coordinator` | a sender's words on its queues, by compare-and-set |
//! | `fleet` | the whole fleet, for monitors and commands |
//! | `latch` | the leader latch and its lease |
//! | `live` | the live settings, their versions, who has them in force |
//! | `live_watch` | a process follows them |
//! | `lead` | what the leader writes, checked against its latch |

mod cluster;
mod connection;
mod coordinator;
mod decisions;
mod fleet;
mod inherit;
mod latch;
mod lead;
mod live;
mod live_watch;
mod membership;
mod nodes;
mod options;
mod probe;
mod rights;
mod seat;
mod succession;
mod tls;
mod tree;

pub use cluster::{Node, Wrong, ZooKeeperTree, clock_of};
pub use coordinator::ZooKeeperCoordinator;
pub use fleet::ZooKeeperFleet;
pub use lead::ZooKeeperLead;
pub use live::{InForce, LIVE_HISTORY_MAX, LiveDocument, LiveVersion, Refused, ZooKeeperLive};
pub use live_watch::LiveWatch;
pub use options::{Login, ZooKeeperOptions};
pub use probe::{Answer, Attempt, Deed, ProbeCall, attempt};
pub use rights::{Rights, ZooKeeperRole, digest_of};
pub use tls::Tls;
