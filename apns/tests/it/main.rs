//! The client over real TLS, against servers that misbehave on purpose and one that others wrote.

mod answers;
mod channels;
mod connecting;
mod corpus;
mod elsewhere;
mod h2_server;
mod hostile;
mod losses;
mod probe;
mod proxy;
mod renewal;
mod rules;
mod server;
mod simulator;
mod storm;
