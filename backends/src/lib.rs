//! The seams over RabbitMQ, ZooKeeper and PostgreSQL (the `cluster` engine), and over one SQLite file (`embedded`).

pub mod clock;
mod device_changes;
mod patience;
pub mod postgres;
pub mod rabbitmq;
pub mod sqlite;
pub mod token_cipher;
pub mod zookeeper;
