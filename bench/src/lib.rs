//! Our figures, measured beside a baseline in the same run.
//!
//! Producer, sender, simulator and baseline are processes of their own, all of them this same binary, so that each one's CPU
//! and memory are the kernel's own numbers. What is printed are ratios and medians of alternating rounds, never a pass or a
//! failure: a loaded machine is slow for the baseline too.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`arguments`] | `skein bench …` and its hidden parts |
//! | [`pipeline`] | alternating rounds → one row of medians |
//! | [`apns`] | the APNs client alone, beside other clients |
//! | [`waiting`] | a full queue, APNs stalled: the sender's memory |
//! | [`plan`] | the monitor's plan at full size |
//! | `fleet` | one engine with its simulator, from start to the checked end |
//! | `traffic` | the notifications: tokens, payloads, ids |
//! | `producer`, `http_producer` | the parts that submit |
//! | `baseline` | the parts without us: `lapin` alone |
//! | `process` | a child, its CPU and memory, its end |

pub mod apns;
pub mod arguments;
mod baseline;
mod fleet;
mod http;
mod http_producer;
mod ledger;
mod median;
mod part;
pub mod pipeline;
pub mod plan;
mod process;
mod producer;
mod rabbitmq;
mod stop;
mod submissions;
mod traffic;
pub mod waiting;

pub use arguments::{Bench, Part};
pub use part::run as run_part;
