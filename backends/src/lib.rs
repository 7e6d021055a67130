//! The seams over RabbitMQ, PostgreSQL and one SQLite file
