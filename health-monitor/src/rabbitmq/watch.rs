//! Keeps the view of the broker: one task hears its events, one reads its figures; each connects again by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use skein_core::QueueName;
use skein_core::plan::BrokerSeen;
use skein_core::seam::Clock;
use skein_producer::LinkOptions;
use skein_producer::link::LinkError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::events::{Event, Events};
use super::management::{Management, ManagementOptions};
use crate::broker::{BrokerView, BrokerWatch};
use crate::connections::LIST_EVERY;
use crate::queue_figures::QueueFigures;

/// Kicks that wait; the next one waits to be given.
const KICKS_MAX: usize = 256;

/// How the broker is watched.
#[derive(Clone)]
pub struct WatchOptions {
    /// The connection for events: into the virtual host of the exchange `amq.rabbitmq.event`.
    pub link: LinkOptions,
    /// The management API; without it no depth, no rate and no kick.
    pub management: Option<ManagementOptions>,
    /// How often figures are read.
    pub figures_every: Duration,
    /// First and longest pause before connecting again.
    pub backoff: (Duration, Duration),
}

/// Watches RabbitMQ, in tasks of the current runtime that end with it.
pub struct RabbitWatch {
    shared: Arc<Shared>,
    kicks: mpsc::Sender<Kick>,
    tasks: [JoinHandle<()>; 2],
}

struct Kick {
    connection: String,
    reply: oneshot::Sender<Result<(), String>>,
}

#[derive(Default)]
struct Shared {
    view: Mutex<BrokerView>,
    figures: Mutex<BTreeMap<QueueName, QueueFigures>>,
    news: Notify,
    /// The listing of connections is wanted.
    list: Notify,
}

impl Shared {
    fn figures(&self) -> MutexGuard<'_, BTreeMap<QueueName, QueueFigures>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> MutexGuard<'_, BrokerView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RabbitWatch {
    /// Begins to watch. Must be called within a runtime.
    pub fn start<C: Clock>(options: WatchOptions, clock: C) -> Self {
        let shared = Arc::new(Shared::default());
        shared.view().seen = BrokerSeen::Away;
        let (kicks, orders) = mpsc::channel(KICKS_MAX);
        let hearing = tokio::spawn(hear(options.clone(), clock.clone(), Arc::clone(&shared)));
        let reading = tokio::spawn(read(options, clock, Arc::clone(&shared), orders));
        Self { shared, kicks, tasks: [hearing, reading] }
    }
}

impl Drop for RabbitWatch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl BrokerWatch for RabbitWatch {
    fn view(&self) -> BrokerView {
        let mut view = self.shared.view().clone();
        let figures = self.shared.figures();
        view.queues = figures.iter().filter_map(|(queue, of)| Some((queue.clone(), of.figures()?))).collect();
        view
    }

    async fn changed(&self) {
        self.shared.news.notified().await;
    }

    async fn close(&self, connection: &str) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let kick = Kick { connection: connection.to_owned(), reply };
        let ended = || "the watch of the broker has ended".to_owned();
        self.kicks.send(kick).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Hears the events, for as long as it lives.
async fn hear<C: Clock>(options: WatchOptions, clock: C, shared: Arc<Shared>) {
    let mut was_up = false;
    let mut pause = options.backoff.0;
    for turn in 0usize.. {
        let mut refused = false;
        let error = match Events::subscribe(&options.link, turn).await {
            Ok(mut events) => {
                pause = options.backoff.0;
                {
                    let mut view = shared.view();
                    view.seen = if was_up { BrokerSeen::Back { at: clock.boot() } } else { BrokerSeen::Up };
                    view.events_trouble = None;
                    view.connections.forget_all();
                }
                was_up = true;
                shared.list.notify_one();
                shared.news.notify_one();
                loop {
                    match events.next().await {
                        Ok(event) => take(&shared, &event, &clock),
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => {
                // Who refuses is there.
                refused = matches!(error, LinkError::Refused(_));
                error.to_string()
            }
        };
        {
            let mut view = shared.view();
            if view.events_trouble.is_none() {
                tracing::warn!(%error, "the broker's events are not heard; dead senders are noticed by their sessions alone");
                // What was heard is not so any more. What is listed from now on is.
                view.connections.forget_all();
            }
            view.seen = if refused { BrokerSeen::Up } else { BrokerSeen::Away };
            view.events_trouble = Some(error);
        }
        shared.news.notify_one();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(options.backoff.1);
    }
}

fn take(shared: &Shared, event: &Event, clock: &impl Clock) {
    let Event { opened, broker_name, client_name } = event;
    let now = clock.boot();
    {
        let mut view = shared.view();
        if *opened {
            view.connections.opened(broker_name, client_name, now);
        } else {
            view.connections.closed(broker_name, client_name, now);
            view.connections.forget_old(now);
        }
    }
    shared.news.notify_one();
}

/// Reads the figures, lists connections when asked, and closes them on order.
async fn read<C: Clock>(
    options: WatchOptions,
    clock: C,
    shared: Arc<Shared>,
    mut orders: mpsc::Receiver<Kick>,
) {
    let Some(management) = options.management else {
        shared.view().management_trouble = Some("monitor.management_url is not set".to_owned());
        while let Some(kick) = orders.recv().await {
            let _ = kick.reply.send(Err("monitor.management_url is not set".to_owned()));
        }
        return;
    };
    let mut management = Management::new(management);
    let mut every = tokio::time::interval(options.figures_every);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut listing = tokio::time::interval(LIST_EVERY);
    listing.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut unlisted = false;
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let Some(kick) = order else { return };
                if kick.reply.is_closed() {
                    continue;
                }
                // Whoever asked may have given up.
                let _ = kick.reply.send(management.close(&kick.connection).await);
                continue;
            }
            () = shared.list.notified() => unlisted = true,
            _ = listing.tick() => unlisted = true,
            _ = every.tick() => {}
        }
        if unlisted && let Ok(listed) = management.connections().await {
            let pairs = listed.iter().map(|(name, client)| (name.as_str(), client.as_str()));
            shared.view().connections.listed(pairs, clock.boot());
            unlisted = false;
        }
        let figures = management.queues().await;
        let now = clock.boot();
        if let Ok(read) = &figures {
            let there: BTreeSet<&QueueName> = read.iter().map(|(queue, _)| queue).collect();
            let mut known = shared.figures();
            known.retain(|queue, _| there.contains(queue));
            for (queue, reading) in read {
                known.entry(queue.clone()).or_default().read(now, *reading);
            }
        }
        let mut view = shared.view();
        match figures {
            Ok(_) => {
                view.figures_at = Some(now);
                view.management_trouble = None;
            }
            Err(error) => {
                if view.management_trouble.is_none() {
                    tracing::warn!(%error, "RabbitMQ's management API does not answer: no depth, no rate, no kick");
                }
                view.management_trouble = Some(error);
            }
        }
    }
}
