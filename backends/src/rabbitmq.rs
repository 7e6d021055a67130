//! The broker seam over RabbitMQ.
