//! A client for Apple's push service: its own HTTP/2, connections and credentials

#![deny(unsafe_code)]

pub mod answer;
pub mod body;
pub mod connection;
pub mod credential;
pub mod endpoint;
pub mod frame;
mod header_block;
pub mod hpack;
pub mod reason;
pub mod request;
pub mod secret;
pub mod tls;
