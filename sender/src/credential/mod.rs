//! A pool's credential while running: which one is in use, how another takes its place, and when it runs out.
//!
//! | file | what it does |
//! | --- | --- |
//! | [`keeper`] | reads, checks and tries a new credential, puts it into use, takes it back |
//! | [`judgement`] | how the trial of a new credential ends, for who ordered it |
//! | [`slot`] | between the keeper and the pool's shards: which credential, and how its trial ends |
//! | [`trial`] | what the first answers on a new credential's connections say of it |
//! | [`stamp`] | whether a credential's files have changed |
//! | [`expiry`] | when to warn that it runs out |
//! | [`view`] | what the pages say of it |
//! | [`events`] | one line and one counter for each thing that happens to it |

pub mod events;
pub mod expiry;
pub mod judgement;
pub mod keeper;
pub mod slot;
pub mod stamp;
pub mod trial;
pub mod view;
