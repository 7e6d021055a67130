//! The task that keeps an attachment's lease: round trips on the consumer's own channel, timed from before their sending.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use lapin::options::BasicQosOptions;
use lapin::{Channel, Event};
use skein_core::lease::Lease;
use skein_core::seam::Clock as _;
use skein_producer::link::Cutter;
use tokio::time::MissedTickBehavior;

use crate::clock::SystemClock;

pub(super) struct Keeper {
    pub(super) channel: Channel,
    pub(super) prefetch: u16,
    pub(super) lease: Arc<Lease>,
    pub(super) length: Duration,
    pub(super) round_trip: Duration,
    pub(super) cutter: Cutter,
}

impl Keeper {
    /// Runs until the attachment ends; ends the lease at once then, and the socket with it.
    pub(super) async fn keep(self, events: impl Stream<Item = Event> + Send) {
        let mut events = std::pin::pin!(events);
        let lost = async {
            while let Some(event) = events.next().await {
                if matches!(event, Event::Error(_)) && !self.channel.status().connected() {
                    break;
                }
            }
        };
        tokio::select! {
            () = lost => {}
            () = self.renew() => {}
        }
        self.lease.end();
        self.cutter.cut();
    }

    async fn renew(&self) {
        let mut ticks = tokio::time::interval(self.round_trip);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let began = SystemClock.boot();
            // The same value again: cheap, answered by the channel itself, and without effect on a consumer that is there.
            if self.channel.basic_qos(self.prefetch, BasicQosOptions::default()).await.is_err() {
                return;
            }
            self.lease.renew(began, self.length);
        }
    }
}
