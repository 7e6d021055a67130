//! What an IM backend links: submit a notification, get a confirmation.
//!
//! ```no_run
//! use skein_core::{NotificationId, PoolName, aps::Payload, notification::Draft};
//! use skein_producer::{LinkOptions, Producer, ProducerOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = "amqp://skein:secret@localhost:5672/%2f".parse()?;
//! let pool = PoolName::parse("enterprise")?;
//! let producer = Producer::connect(ProducerOptions::new(LinkOptions::new(vec![broker], "im-1"), vec![pool.clone()]));
//!
//! let hello = Payload::alert("Anna", "are you there?");
//! let draft = Draft::new("0f5c…hex…", "com.example.im").payload(&hello).user("u-42").collapse_id("chat-7");
//! let notification = draft.build(NotificationId::now().at()).map_err(|faults| format!("{faults:?}"))?;
//! let confirmed = producer.submit(&pool, notification).await?; // stored durably; will end in exactly one verdict
//! println!("skein trace {}", confirmed.id);
//! # Ok(()) }
//! ```
//!
//! Producers in other languages need only the wire contract: this crate's `README.md`, `schema/` and `vectors/`.
//!
//! | file | what it decides or holds |
//! | --- | --- |
//! | [`Producer`] | the handle: submit, wait or be refused |
//! | `plan` | which notifications go out in one message |
//! | `envelope` | one AMQP message: body, routing, properties |
//! | `order` | one message under way a device token |
//! | `parcels` | what is taken and without an outcome: nack, loss, deadline |
//! | `session` | the task with the connection |
//! | [`link`] | a connection to RabbitMQ that can be cut |

#[cfg(feature = "a2")]
mod a2;
mod envelope;
pub mod link;
mod options;
mod order;
mod parcels;
mod plan;
mod producer;
mod session;

#[cfg(feature = "a2")]
pub use a2::{FromA2Error, draft_from_a2};
pub use link::{BadTls, Before, BrokerAddress, LinkOptions, tls_config, tls_refusal, tls_remedy};
pub use options::{ProducerOptions, Wait};
pub use producer::{Producer, Taken};
