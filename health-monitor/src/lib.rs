//! Watches senders and queues, and says who owns which: observe → plan → act. The health of the fleet is what it monitors; it stands
//! beside the data path, which goes on without it (P7).
//!
//! Two or more run; one leads. Each observes and plans, so that a new leader knows as much as the old one; only the leader acts.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`monitor`] | the loop, and what the API reads of it |
//! | [`observe`] | the store's and the broker's word, put together |
//! | [`skein_core::plan`] | where each queue should be |
//! | [`act`] | checked writes, then kicks |
//! | [`kicks`] | whose connections are to be closed |
//! | [`connections`], [`queue_figures`] | what the broker tells, kept |
//! | [`broker`], [`rabbitmq`] | the broker as a seam, and over RabbitMQ |
//! | [`api`], [`mod@routes`] | what the HTTP API says, as types |
//! | [`health_page`] | the page that shows it all |
//! | [`history`] | the last quarter of an hour |
//! | `witness` | what happens without this monitor's doing |
//! | [`events`] | log lines and counters |
//! | [`fleet_metrics`] | the fleet as metrics |

pub mod act;
mod alarms;
pub mod api;
pub mod broker;
mod candidate;
pub mod connections;
pub mod events;
pub mod fleet_metrics;
pub mod health_page;
pub mod history;
pub mod kicks;
pub mod monitor;
pub mod observe;
mod page;
pub mod queue_figures;
pub mod rabbitmq;
pub mod routes;
mod witness;

pub use events::Events;
pub use fleet_metrics::FleetMetrics;
pub use monitor::{Monitor, Shown};
pub use routes::routes;
