//! The seams in memory.
