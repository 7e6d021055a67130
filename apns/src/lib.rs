//! A client for Apple's push service: its own HTTP/2, connections and credentials

#![deny(unsafe_code)]

pub mod frame;
pub mod hpack;
