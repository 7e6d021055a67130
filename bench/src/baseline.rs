//! The parts of the baseline: `lapin` alone, the same messages, nothing decided, nothing recorded.
//!
//! Quorum queues and slot bindings as the product has them; a publisher window of 1,000 confirms, a prefetch of 200 a queue,
//! each body decoded, an ack of many every 50.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use anyhow::{Context as _, Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind};
use skein_apns_sim::clock::monotonic_ns;
use skein_core::wire::{self, CONTENT_TYPE, NOTIFICATION_V1};
use skein_core::{NotificationId, Slot, SlotMap};
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};

use crate::arguments::Baseline;
use crate::part::{Consumed, Submitted, announce};
use crate::traffic::Traffic;

const EXCHANGE: &str = "baseline";
const WINDOW: usize = 1000;
const PREFETCH: u16 = 200;
const ACK_EVERY: u64 = 50;

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn connect(arguments: &Baseline) -> Result<Connection> {
    Connection::connect(&arguments.target, ConnectionProperties::default()).await.context("cannot connect")
}

fn queue(number: u16) -> String {
    format!("{EXCHANGE}.q{number}")
}

/// Publishes singles through the exchange, confirmed and persistent.
pub(crate) fn publish(arguments: &Baseline) -> Result<Submitted> {
    runtime()?.block_on(async {
        let connection = connect(arguments).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let traffic = Traffic::new(arguments.seed);
        let began_ns = monotonic_ns();
        let (mut waiting, mut refused) = (VecDeque::with_capacity(WINDOW), 0);
        let mut take = |outcome| refused += u64::from(!matches!(outcome, Confirmation::Ack(_)));
        for n in 0..arguments.notifications {
            let now = NotificationId::now().at();
            let notification = traffic.notification(traffic.single(n), now)?;
            let body = wire::encode(&notification)?;
            let properties = BasicProperties::default()
                .with_content_type(CONTENT_TYPE.into())
                .with_type(NOTIFICATION_V1.into())
                .with_message_id(notification.id.to_string().into())
                .with_delivery_mode(2)
                .with_timestamp(u64::try_from(now.as_secs())?);
            let key = notification.slot().number().to_string().into();
            let options = BasicPublishOptions::default();
            waiting.push_back(channel.basic_publish(EXCHANGE.into(), key, options, &body, properties).await?);
            if waiting.len() >= WINDOW
                && let Some(oldest) = waiting.pop_front()
            {
                take(oldest.await?);
            }
        }
        for confirm in waiting {
            take(confirm.await?);
        }
        let confirmed = arguments.notifications - refused;
        Ok(Submitted { confirmed, refused, began_ns, ended_ns: monotonic_ns() })
    })
}

/// Declares queues and bindings, says that it is ready, and consumes as many as are published.
pub(crate) fn consume(arguments: &Baseline) -> Result<Consumed> {
    let local = LocalSet::new();
    local.block_on(&runtime()?, async {
        let connection = connect(arguments).await?;
        declare(&connection.create_channel().await?, arguments.queues).await?;
        let (messages, all) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
        let mut consuming = JoinSet::new();
        for number in 0..arguments.queues {
            let channel = connection.create_channel().await?;
            channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let name = queue(number);
            let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
            let consumer = channel.basic_consume(name.as_str().into(), "".into(), options, table).await?;
            let (messages, all) = (Rc::clone(&messages), Rc::clone(&all));
            consuming.spawn_local(take(consumer, arguments.notifications, messages, all));
        }
        announce(&Consumed { messages: 0, ended_ns: monotonic_ns() })?;
        tokio::select! {
            () = all.notified() => Ok(Consumed { messages: messages.get(), ended_ns: monotonic_ns() }),
            Some(ended) = consuming.join_next() => Err(match ended? {
                Ok(()) => anyhow!("a consumer ends too early"),
                Err(error) => error,
            }),
        }
    })
}

/// Takes from one queue. The last messages, fewer than fifty, stay unacked: their queue goes with its virtual host.
async fn take(
    mut consumer: lapin::Consumer,
    wanted: u64,
    messages: Rc<Cell<u64>>,
    all: Rc<Notify>,
) -> Result<()> {
    let mut unacked = 0;
    while let Some(delivery) = consumer.next().await {
        let mut delivery = delivery?;
        let body = Bytes::from(std::mem::take(&mut delivery.data));
        let decoded = wire::decode(NOTIFICATION_V1, &body, NotificationId::now().at(), |_| true)?;
        ensure!(decoded.items.len() == 1, "a message of the baseline holds no notification");
        unacked += 1;
        if unacked == ACK_EVERY {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
            unacked = 0;
        }
        messages.set(messages.get() + 1);
        if messages.get() == wanted {
            all.notify_one();
        }
    }
    Ok(())
}

async fn declare(channel: &Channel, queues: u16) -> Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let table = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Direct, options, table()).await?;
    for number in 0..queues {
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue(number).as_str().into(), options, quorum).await?;
    }
    let map = SlotMap::even(queues);
    for slot in Slot::all() {
        let (queue, key) = (queue(map.queue(slot)), slot.number().to_string());
        let options = QueueBindOptions { nowait: true };
        channel
            .queue_bind(queue.as_str().into(), EXCHANGE.into(), key.as_str().into(), options, table())
            .await?;
    }
    // The bindings before it are done when this is answered.
    let (options, last) = (QueueBindOptions::default(), queue(0));
    channel.queue_bind(last.as_str().into(), EXCHANGE.into(), "ready".into(), options, table()).await?;
    Ok(())
}
