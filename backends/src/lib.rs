//! The seams over RabbitMQ and PostgreSQL (the `cluster` engine), and over one SQLite file (`embedded`).

pub mod clock;
pub mod postgres;
pub mod rabbitmq;
pub mod sqlite;
