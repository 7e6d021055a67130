//! The embedded engine as its process dies.

mod child;
mod crash;
