//! Broker, submit and ledger over one SQLite file: the embedded engine.
