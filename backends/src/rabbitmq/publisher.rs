//! Publishing to a queue over the exchange of its name, confirmed: dead letters and facts. Its own connection, since an alarm of the broker
//! stalls every connection that publishes.

use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use skein_core::seam::BrokerError;
use skein_producer::LinkOptions;
use skein_producer::link::Link;

use super::{broker_error, driver_error};

/// How long the broker may take to store what is published.
const STORE_LIMIT: Duration = Duration::from_secs(10);

/// An open connection with a channel in confirm mode.
pub(super) struct Publisher {
    // First: dropped, it resets the socket before the channel can say good-bye.
    link: Link,
    channel: Channel,
}

impl Publisher {
    pub(super) async fn open(options: &LinkOptions, purpose: &str) -> Result<Self, BrokerError> {
        let mut options = options.clone();
        options.name = format!("{}/{purpose}", options.name);
        let opening = async {
            let link = Link::connect(&options, 0).await.map_err(broker_error)?;
            let channel = link.connection().create_channel().await.map_err(driver_error)?;
            channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(driver_error)?;
            Ok(Self { link, channel })
        };
        within(opening).await
    }

    pub(super) fn is_open(&self) -> bool {
        self.link.connection().status().connected() && self.channel.status().connected()
    }

    /// Its channel, for looking at a queue that must be there: one that is missing closes it.
    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Stores messages in a queue. `Ok` when each is confirmed.
    ///
    /// # Errors
    /// Nothing of them may be taken as stored; the publisher is of no more use.
    pub(super) async fn publish(
        &self,
        queue: &str,
        properties: BasicProperties,
        bodies: &[&[u8]],
    ) -> Result<(), BrokerError> {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishing = bodies.iter().map(|body| async {
            let sent =
                self.channel.basic_publish(queue.into(), "".into(), options, body, properties.clone()).await;
            match sent.map_err(driver_error)?.await.map_err(driver_error)? {
                Confirmation::Ack(None) => Ok(()),
                // A returned message may come with another's confirmation: both fail then, which is safe.
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    Err(BrokerError::Refused(format!("queue {queue} is missing; run `skein cluster init`")))
                }
                Confirmation::Nack(None) => Err(BrokerError::Away(format!("queue {queue} is full"))),
                Confirmation::NotRequested => Err(BrokerError::Refused("the broker does not confirm".into())),
            }
        });
        within(try_join_all(publishing)).await.map(|_| ())
    }
}

async fn within<T>(doing: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    let done = tokio::time::timeout(STORE_LIMIT, doing).await;
    done.unwrap_or_else(|_| {
        Err(BrokerError::Away(format!("no answer in {STORE_LIMIT:?} (blocked by an alarm?)")))
    })
}
