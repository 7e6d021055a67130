//! The client over real TLS, against servers that misbehave on purpose and one that others wrote.

mod answers;
mod channels;
mod connecting;
mod h2_server;
mod losses;
mod probe;
mod proxy;
mod renewal;
mod server;
mod simulator;
