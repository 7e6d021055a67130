//! The coordinator seam on a real ZooKeeper.

mod away;
mod contract;
mod leader;
mod membership;
mod rights;
mod world;
