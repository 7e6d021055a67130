//! The front door as its callers see it: real HTTP on loopback, over the engine in memory.

mod bounds;
mod devices;
mod gated;
mod idempotency;
mod keys;
mod notifications;
mod openapi;
mod pages;
mod support;
mod tls;
