//! The broker seam over RabbitMQ: quorum queues with a single active consumer, one connection per attached queue, an abrupt end
//! instead of a polite one; and the facts queue, where facts wait while the ledger is away.
//!
//! | file | what it decides or holds |
//! | --- | --- |
//! | `topology` | exchanges, queues and bindings of a pool |
//! | `arguments` | what a queue must be like, and how to say what differs |
//! | `standing` | whether all is declared already |
//! | `broker`, `consuming` | attaching |
//! | `ready` | connections for queues that are about to come |
//! | `inbox` | one attachment: take, settle, bury, leave |
//! | `acks` | which settlements go out as which acknowledgements |
//! | `lease` | the task that keeps an attachment's lease |
//! | `presence` | a sender's connection of its own, which tells that it lives |
//! | `publisher` | one message at a time, confirmed: dead letters, facts |
//! | `facts` | a ledger that stays durable while its database is away |

mod acks;
mod arguments;
mod broker;
mod consuming;
mod facts;
mod inbox;
mod lease;
mod presence;
mod publisher;
mod ready;
mod standing;
mod topology;

pub use broker::{RabbitBroker, RabbitOptions};
pub use facts::{SpoolState, SpoolStatus, SpooledLedger};
pub use inbox::RabbitInbox;
pub use presence::Presence;
pub use topology::{DEAD_QUEUE, FACTS_QUEUE, FEEDBACK_EXCHANGE, Topology, declare_shared, pool_mark};

use skein_core::seam::BrokerError;
use skein_producer::link::LinkError;

fn broker_error(error: LinkError) -> BrokerError {
    match error {
        LinkError::Away(why) => BrokerError::Away(why),
        LinkError::Refused(why) => BrokerError::Refused(why),
    }
}

fn driver_error(error: lapin::Error) -> BrokerError {
    broker_error(LinkError::of(&error))
}
