//! The one binary: arguments, wiring, signals.
fn main() {}
