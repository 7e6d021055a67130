//! The whole fleet in one thread and paused time: the real senders, lanes, ownership, gate and plan on in-memory seams, under
//! seeded faults, with the promises as assertions. A seed reproduces.
//!
//! | file | what it is |
//! | --- | --- |
//! | [`run`] | one seed from its beginning to its verdict, and a failure made smaller |
//! | [`script`] | the faults of a seed, drawn once |
//! | [`faults`] | what each fault does |
//! | [`stage`] | the fleet, what it stands on, the lives of its senders |
//! | [`sender`] | one life: real shards, sessions, lanes and recorder |
//! | [`process`] | its tasks: frozen none runs, killed all are dropped |
//! | [`broker`], [`ledger`], [`coordinator`], [`wire`] | its ways to the seams, with latency, silence and loss |
//! | [`clock`] | a host's, its wall clock set apart |
//! | [`apns`] | what APNs makes of a write |
//! | [`monitor`] | reads, plans, applies, kicks |
//! | [`traffic`] | the producers |
//! | [`witness`] | sees everything and holds it against the promises |
//! | [`flaw`] | the doubles that the simulation must find |

pub mod apns;
pub mod broker;
pub mod clock;
pub mod coordinator;
pub mod faults;
pub mod flaw;
pub mod ledger;
pub mod links;
pub mod monitor;
pub mod process;
pub mod random;
pub mod run;
pub mod script;
pub mod sender;
pub mod stage;
pub mod traffic;
pub mod wire;
pub mod witness;
