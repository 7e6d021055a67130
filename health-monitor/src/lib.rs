//! Watches senders and queues, and says who owns which: observe → plan → act. The health of the fleet is what it monitors; it stands
//! beside the data path, which goes on without it (P7).
//!
//! Two or more run; one leads. Each observes and plans, so that a new leader knows as much as the old one; only the leader acts.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`api`] | what the HTTP API says, as types |

pub mod api;
