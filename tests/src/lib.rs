//! The fleet as its users and its enemies see it
