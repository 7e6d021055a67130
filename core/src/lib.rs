//! The vocabulary and the decisions of Skein: what a notification is, where it is routed, what an answer means,
//! whose turn it is; and the seams behind which drivers stand. No driver, no socket, no clock of its own.
//!
//! | file | what it decides or holds |
//! | --- | --- |
//! | [`notification`] | one push for one device token, valid by construction |
//! | [`wire`] | how it travels: `skein.notification.v1`, `skein.batch.v1` |
//! | [`slot`] | device token → slot → queue |
//! | [`lane`] | one in flight a device token, in order |
//! | [`verdict`] | what an answer of APNs means |
//! | [`fact`] | what the ledger is told |
//! | [`fleet`] | members, assignments and their changes, policy, operators' wishes |
//! | [`plan`](mod@plan) | where each queue should be, and why |
//! | [`seam`] | Broker, Submit, Ledger, Transport, Coordinator, Clock |
//! | [`memory`] | the seams in memory |
//! | [`contract`] | what every implementation of a seam must do, as suites |

pub mod answer;
pub mod aps;
pub mod contract;
pub mod fact;
pub mod fleet;
pub mod id;
pub mod lane;
pub mod lease;
pub mod memory;
pub mod notification;
pub mod plan;
pub mod pool;
pub mod push_type;
pub mod reason;
pub mod retry_budget;
pub mod retry_schedule;
pub mod seam;
pub mod slot;
pub mod time;
pub mod token;
pub mod trace_context;
pub mod verdict;
pub mod wire;

pub use answer::{Answer, Evidence, Reply};
pub use id::{NotificationId, NotificationKey};
pub use notification::{Badge, CollapseId, Content, Expiration, Fault, Notification, Priority};
pub use pool::{PoolName, QueueName};
pub use push_type::PushType;
pub use reason::Reason;
pub use slot::{SLOTS, Slot, SlotMap};
pub use time::Timestamp;
pub use token::{DeviceToken, Fingerprint, FingerprintKey};
pub use trace_context::TraceContext;
pub use verdict::{FinalVerdict, Verdict, judge};
