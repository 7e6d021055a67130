//! The main path: take → send → judge → record → settle.
//!
//! A sender owns queues. Each queue belongs to one *shard*, an OS thread with its own single-threaded runtime; within it, each
//! pool has its own lanes, permits, breaker and transport, so that one bad credential harms only itself (P5).
//!
//! | file | what it does |
//! | --- | --- |
//! | [`main_path`] | the five steps, in order |
//! | [`attachment`] | one queue's session: attach, take, settle, leave; a cut voids it |
//! | [`tenancy`] | what a session is to do next about its queue |
//! | [`loading`] | what must be known before the first write, asked for once for all queues |
//! | [`last_assignment`] | restarted while the coordinator is away, it goes on with what it had |
//! | [`member_lock`] | proves the earlier lives of this member dead |
//! | [`work`] | what a pool's lanes and memory hold |
//! | [`facts`] | what the ledger is told about an item |
//! | [`window`] | ids that are in a lane or not yet durable are never entered twice |
//! | [`recorder`] | natural group commit into the ledger |
//! | [`shard`] | threads, and which queue lives where |
//! | [`advice`] | what to do about a refusal that stops a pool |
//! | [`breaker`] | a pool that its credential is refused for writes nothing but probes |
//! | [`pause`] | a pool is paused, and why, in one line and one alarm |
//! | [`credential`] | which credential a pool writes with, and how another takes its place |
//! | [`badge`] | the badge's absolute number, put into the payload as late as possible |
//! | [`quarantine`] | a message that killed its owner is not decoded again |
//! | [`spans`] | what the producers' tracing is told |
//! | [`description`] | what a sender says of itself to its fleet |
//! | [`metrics`], [`connection_metrics`], [`status`], [`startup`] | what ops see |

pub mod advice;
pub mod apns_transport;
pub mod attachment;
pub mod badge;
pub mod belief;
pub mod breaker;
pub mod connection_metrics;
pub mod credential;
pub mod description;
pub mod facts;
pub mod gone;
pub mod last_assignment;
pub mod loading;
pub mod main_path;
pub mod member_lock;
pub mod metrics;
pub mod options;
pub mod pause;
pub mod permits;
pub mod quarantine;
pub mod reading;
pub mod recorder;
pub mod session;
pub mod shard;
pub mod spans;
pub mod startup;
pub mod status;
pub mod tenancy;
pub mod window;
pub mod work;

pub use options::{Options, PoolOptions};
pub use shard::{Seams, Sender, Shard, Tuning};
