//! The broker seam, the producer and the facts queue on a real RabbitMQ.

mod attachment;
mod contract;
mod facts;
mod producer;
mod standing;
mod tls;
mod topology;
mod wiretap;
mod world;
