//! The harness on the real services, and what the design takes for granted about the broker.

mod amqp;
mod broker_behaviour;
mod harness;
