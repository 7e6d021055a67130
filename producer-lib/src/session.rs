//! The task behind a producer: connects, publishes what is ready, collects confirms, starts over when the connection is gone.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::poll_fn;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Event, ExchangeKind};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as TokioInstant, Interval, MissedTickBehavior};
use tracing::{info, warn};

use crate::link::{Link, LinkError};
use crate::options::ProducerOptions;
use crate::order::Seq;
use crate::parcels::{Parcel, Parcels, Way};

/// How often deadlines and rests are looked at, while there are any.
const TICK: Duration = Duration::from_millis(20);
/// How often a missing exchange is looked for again.
const EXCHANGE_LOOK: Duration = Duration::from_secs(1);
/// How long the broker may take to answer what a new connection asks first.
const SETUP_LIMIT: Duration = Duration::from_secs(10);
/// A message that was refused so often on one channel may be refused because of the channel: RabbitMQ (3.10.8) goes on refusing on one
/// that was opened between the death of a queue's leader and the election of the next.
const REFUSALS_MIN: u32 = 2;
/// How long a channel that refuses is kept at least, doubled each time up to the longest: a queue may just be full.
const CHANNEL_KEPT_MIN: Duration = Duration::from_millis(500);
const CHANNEL_KEPT_MAX: Duration = Duration::from_secs(30);
/// The number of the message that finds out whether a new connection is blocked.
const PROBE: Seq = 0;

type Confirm = Pin<Box<dyn Future<Output = (Seq, lapin::Result<Confirmation>)> + Send>>;
type Confirms = FuturesUnordered<Confirm>;

/// What the handles can see of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) way: Way,
    pub(crate) trouble: Option<String>,
}

pub(crate) struct Session {
    pub(crate) options: Arc<ProducerOptions>,
    pub(crate) incoming: mpsc::Receiver<Parcel>,
    pub(crate) outlook: watch::Sender<Outlook>,
    parcels: Parcels,
    /// Every handle is gone: what is under way is brought to its end, then the task ends.
    closing: bool,
    tick: Interval,
}

enum End {
    Done,
    Lost(LinkError),
}

impl Session {
    pub(crate) fn new(
        options: Arc<ProducerOptions>,
        incoming: mpsc::Receiver<Parcel>,
        outlook: watch::Sender<Outlook>,
    ) -> Self {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { options, incoming, outlook, parcels: Parcels::default(), closing: false, tick }
    }

    pub(crate) async fn run(mut self) {
        let (mut turn, mut failures) = (0, 0_u32);
        while !self.finished() {
            let options = Arc::clone(&self.options);
            let pause = if failures == 0 { Duration::ZERO } else { options.pause(failures) };
            let connecting = async move {
                tokio::time::sleep(pause).await;
                Link::connect(&options.link, turn).await
            };
            let Some(connected) = self.meanwhile(connecting).await else { return };
            let error = match connected {
                Err(error) => error,
                Ok(link) => {
                    info!(broker = %link.broker(), "connected to publish");
                    let began = Instant::now();
                    match self.serve(&link).await {
                        End::Done => return,
                        End::Lost(error) => {
                            self.parcels.lost();
                            if began.elapsed() > self.options.backoff_max {
                                failures = 0;
                            }
                            error
                        }
                    }
                }
            };
            turn = turn.wrapping_add(1);
            failures = failures.saturating_add(1);
            if failures == 1 {
                warn!(%error, "no connection to publish on; trying again");
            }
            self.show(Way::Away, Some(error.to_string()));
        }
    }

    fn finished(&self) -> bool {
        self.closing && self.parcels.is_empty()
    }

    fn show(&self, way: Way, trouble: Option<String>) {
        let outlook = Outlook { way, trouble };
        self.outlook.send_if_modified(|shown| {
            let changed = *shown != outlook;
            if changed {
                *shown = outlook;
            }
            changed
        });
    }

    /// Waits for something without a connection, while submissions come in and run out of time. `None` when all is done.
    async fn meanwhile<T>(&mut self, waiting: impl Future<Output = T>) -> Option<T> {
        let mut waiting = Box::pin(waiting);
        loop {
            tokio::select! {
                done = &mut waiting => return Some(done),
                parcel = self.incoming.recv(), if !self.closing => self.enter(parcel),
                _ = self.tick.tick(), if !self.parcels.is_empty() => {
                    self.parcels.tick(Way::Away, self.options.outcome_limit, Instant::now());
                }
            }
            if self.finished() {
                return None;
            }
        }
    }

    fn enter(&mut self, parcel: Option<Parcel>) {
        let Some(parcel) = parcel else {
            self.closing = true;
            return;
        };
        self.parcels.enter(parcel);
        while let Ok(parcel) = self.incoming.try_recv() {
            self.parcels.enter(parcel);
        }
    }

    /// Publishes on one connection until it is lost.
    async fn serve(&mut self, link: &Link) -> End {
        let mut events = Box::pin(link.connection().events_listener());
        let setup = tokio::time::timeout(SETUP_LIMIT, async {
            Ok::<_, LinkError>((confirming(link).await?, self.missing_exchanges(link, &[]).await?))
        });
        let setup = setup.await.unwrap_or_else(|_| Err(LinkError::Away("the broker does not answer".into())));
        let (mut channel, mut missing) = match setup {
            Ok(setup) => setup,
            Err(error) => return End::Lost(error),
        };
        let mut confirms = Confirms::new();
        // What may be under way twice is published only once the broker has shown that it reads this connection: while an alarm
        // is on, the originals may still stand in its buffers, and would come after their copies.
        let mut probing = false;
        if let Some(exchange) = self.parcels.repeats() {
            probing = true;
            confirms.push(publish_probe(&channel, exchange));
        }
        let (mut opened, mut kept, mut renewing) = (Instant::now(), CHANNEL_KEPT_MIN, false);
        let mut look_again = TokioInstant::now() + EXCHANGE_LOOK;
        let mut collected = Vec::new();
        loop {
            for exchange in &missing {
                self.parcels.refuse_exchange(exchange);
            }
            let blocked = link.connection().status().blocked();
            let way = if blocked { Way::Blocked } else { Way::Open };
            self.show(way, blocked.then(|| crate::parcels::BLOCKED.to_owned()));
            if renewing && confirms.is_empty() {
                let renewed = tokio::time::timeout(SETUP_LIMIT, async {
                    channel.close(200, "opened anew".into()).await?;
                    confirming(link).await
                });
                match renewed.await {
                    Ok(Ok(renewed)) => channel = renewed,
                    Ok(Err(error)) => return End::Lost(error),
                    Err(_) => return End::Lost(LinkError::Away("the broker does not answer".into())),
                }
                (opened, kept, renewing) = (Instant::now(), (kept * 2).min(CHANNEL_KEPT_MAX), false);
            }
            if !blocked && !probing && !renewing {
                self.publish_ready(&channel, &mut confirms);
            }
            if self.finished() {
                return End::Done;
            }
            tokio::select! {
                biased;
                event = events.next() => match event {
                    // Also told of channels that the broker closed; only ours ends the session.
                    Some(Event::Error(error)) if !is_up(link, &channel) => {
                        return End::Lost(LinkError::of(&error));
                    }
                    None => return End::Lost(LinkError::Away("the connection has ended".into())),
                    Some(_) => {}
                },
                () = poll_fn(|cx| poll_confirms(&mut confirms, cx, &mut collected)), if !confirms.is_empty() => {
                    probing &= !collected.iter().any(|(seq, result)| *seq == PROBE && result.is_ok());
                    match self.apply(&mut collected) {
                        // Once all that is under way has its outcome, nothing is in doubt for it.
                        Ok(refusals) => renewing |= refusals >= REFUSALS_MIN && opened.elapsed() >= kept,
                        Err(error) => return End::Lost(error),
                    }
                }
                parcel = self.incoming.recv(), if !self.closing => self.enter(parcel),
                _ = self.tick.tick(), if !self.parcels.is_empty() => {
                    self.parcels.tick(way, self.options.outcome_limit, Instant::now());
                }
                () = tokio::time::sleep_until(look_again), if !missing.is_empty() => {
                    match tokio::time::timeout(SETUP_LIMIT, self.missing_exchanges(link, &missing)).await {
                        Ok(Ok(still)) => missing = still,
                        Ok(Err(error)) => return End::Lost(error),
                        Err(_) => return End::Lost(LinkError::Away("the broker does not answer".into())),
                    }
                    look_again = TokioInstant::now() + EXCHANGE_LOOK;
                }
            }
        }
    }

    fn publish_ready(&mut self, channel: &Channel, confirms: &mut Confirms) {
        while let Some((seq, parcel)) = self.parcels.next() {
            let (channel, body) = (channel.clone(), parcel.envelope.body.clone());
            let exchange = (*parcel.envelope.exchange).into();
            let key = parcel.envelope.slot.number().to_string().into();
            let properties = parcel.envelope.properties(parcel.repeat, self.options.app_id);
            let mut confirm: Confirm = Box::pin(async move {
                let options = BasicPublishOptions { mandatory: true, immediate: false };
                let written = channel.basic_publish(exchange, key, options, &body, properties).await;
                (
                    seq,
                    match written {
                        Ok(confirm) => confirm.await,
                        Err(e) => Err(e),
                    },
                )
            });
            // The first poll hands the frames over, in this order; it never yields an outcome by itself.
            let mut nobody = Context::from_waker(std::task::Waker::noop());
            match confirm.as_mut().poll(&mut nobody) {
                Poll::Pending => confirms.push(confirm),
                Poll::Ready(outcome) => confirms.push(Box::pin(std::future::ready(outcome))),
            }
        }
    }

    /// Gives how often one of these messages has been refused, at most.
    fn apply(&mut self, collected: &mut Vec<(Seq, lapin::Result<Confirmation>)>) -> Result<u32, LinkError> {
        // The driver hands a returned message to whichever confirm comes next: all returns first, by their own ids.
        for (_, result) in collected.iter() {
            if let Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) = result
                && let Some(id) = message.properties.message_id()
            {
                self.parcels.returned(id.as_str());
            }
        }
        let now = Instant::now();
        let (mut refusals, mut lost) = (0, Ok(()));
        for (seq, result) in collected.drain(..) {
            match result {
                Ok(Confirmation::Ack(_)) => self.parcels.acked(seq),
                Ok(Confirmation::Nack(_)) => {
                    refusals = self.parcels.nacked(seq, &self.options, now).max(refusals);
                }
                Ok(Confirmation::NotRequested) => {
                    lost = Err(LinkError::Refused("the broker does not confirm".into()));
                }
                Err(error) => lost = Err(LinkError::of(&error)),
            }
        }
        lost.map(|()| refusals)
    }

    /// The exchanges of our pools that are not there; those that were not known to be are told. Each is asked for on a channel of its own, which a 404 closes.
    async fn missing_exchanges(&self, link: &Link, known: &[String]) -> Result<Vec<String>, LinkError> {
        let mut missing = Vec::new();
        for pool in &self.options.pools {
            let channel = link.connection().create_channel().await?;
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let exchange = pool.exchange();
            let asked = channel.exchange_declare(
                exchange.as_str().into(),
                ExchangeKind::Direct,
                options,
                FieldTable::default(),
            );
            match asked.await {
                Ok(()) => channel.close(200, "asked".into()).await?,
                Err(e) if is_not_found(&e) => {
                    if !known.contains(&exchange) {
                        warn!(exchange, "missing; run `skein cluster init`");
                    }
                    missing.push(exchange);
                }
                Err(e) => return Err(e.into()),
            }
        }
        Ok(missing)
    }
}

/// A channel on which the broker confirms.
async fn confirming(link: &Link) -> Result<Channel, LinkError> {
    let channel = link.connection().create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

fn is_up(link: &Link, channel: &Channel) -> bool {
    link.connection().status().connected() && channel.status().connected()
}

fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(said) if said.get_id() == 404)
}

/// A message that no queue is bound for: dropped, and confirmed, as soon as the broker reads this connection.
fn publish_probe(channel: &Channel, exchange: Arc<str>) -> Confirm {
    let channel = channel.clone();
    Box::pin(async move {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        let written =
            channel.basic_publish((*exchange).into(), "probe".into(), options, &[], properties).await;
        (
            PROBE,
            match written {
                Ok(confirm) => confirm.await,
                Err(e) => Err(e),
            },
        )
    })
}

/// Appends every outcome that is there; pending while there is none.
///
/// An outcome without a returned message is given out by the driver only after all messages returned so far were given out
/// with earlier outcomes. So whoever has taken *all* that was there together with it has the returns that matter. One pending
/// poll may be the set's own pause; two in a row mean that nothing is left.
fn poll_confirms(
    confirms: &mut Confirms,
    cx: &mut Context<'_>,
    collected: &mut Vec<(Seq, lapin::Result<Confirmation>)>,
) -> Poll<()> {
    let mut pending = 0;
    while pending < 2 {
        match confirms.poll_next_unpin(cx) {
            Poll::Ready(Some(outcome)) => {
                collected.push(outcome);
                pending = 0;
            }
            Poll::Ready(None) => break,
            Poll::Pending => pending += 1,
        }
    }
    if collected.is_empty() { Poll::Pending } else { Poll::Ready(()) }
}
