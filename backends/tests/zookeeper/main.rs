//! The coordinator seam on a real ZooKeeper.

mod contract;
mod world;
