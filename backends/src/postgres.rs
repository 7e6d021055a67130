//! The ledger over PostgreSQL.
