//! The broker watched over RabbitMQ: its events for what is urgent, its management API for figures and kicks.

mod events;
mod http;
mod management;
mod watch;

pub use management::{Management, ManagementOptions, ManagementUrl, NotAManagementUrl};
pub use watch::{RabbitWatch, WatchOptions};
