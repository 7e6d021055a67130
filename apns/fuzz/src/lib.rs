//! What is fuzzed, one function a target. The tests of `skein-apns` include this file and run the kept corpus through it.

pub mod body;
pub mod frames;
pub mod hpack;
pub mod machine;
pub mod script;
