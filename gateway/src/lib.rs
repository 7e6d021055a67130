//! The HTTP front door for backends that link no producer-lib, and for device receipts.
//!
//! | route | what it does |
//! | --- | --- |
//! | `POST /v1/notifications?pool=<pool>` | submits one notification, a shared one with `items`, or an array |
//! | `POST /v1/devices?pool=<pool>` | registers one device or an array of them |
//! | `GET /v1/notifications/{id}` | what the ledger knows of a notification |
//! | `GET /v1/openapi.json` | the description of these routes |
//!
//! Every route but the last wants `authorization: Bearer <key>`. Every refusal is `{"error","message"}`, with `faults` where
//! fields are wrong and `items` where notifications ended differently; `error` is one word of a closed list
//! ([`Problem`]). The role pages ([`pages`]) stand on a listener of their own.
//!
//! **Submitting again.** With an `Idempotency-Key`, the same key and body gets the first answer, and a request that ended
//! without one goes on where it stopped, under the ids made the first time. Without it, submit again with the same ids:
//! one that has its final verdict is not published again, and one that may have been accepted before (it was made more than a second ago
//! or before the gateway began, or has come to it already) is published marked, so that the sender looks it up first.

mod access;
mod devices;
mod door;
mod idempotency;
mod metrics;
mod notifications;
mod options;
mod outcome;
mod pages;
mod problem;
mod rate;
mod recent;
mod routes;
mod serve;
mod submission;
mod trace;

pub use access::{Access, ApiKey, PoolRule};
pub use idempotency::{Begin, BodyHash, End, IdempotencyStore, KeyHash, MemoryStore, Remembered};
pub use options::Options;
pub use pages::{Part, pages};
pub use problem::Problem;
pub use routes::{Gateway, OPENAPI, ROUTES};
pub use serve::{Peer, ServeOptions, serve};
