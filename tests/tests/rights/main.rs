//! Who may come in, and what each may do there: TLS and mutual TLS to the three services, and the rights that `skein cluster init` makes,
//! on real ones.

mod authority;
mod broker;
mod cluster;
mod coordinator;
mod encrypted;
mod ledger;
