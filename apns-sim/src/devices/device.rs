//! One device: a screen, and for each topic one outstanding push and one that waits.
//!
//! APNs stores one notification for each app of a device, whatever their number or collapse ids, and holds one back until
//! the device has acknowledged the one before ("Sending notification requests to APNs").

use super::{
    Delivery, NOTICES_MAX, Notice, REORDER_MS_MAX, SALT_RACE, SALT_REORDER, STORED_MS_MAX, Scene, Shown,
};

#[derive(Debug, Default)]
pub(super) struct Device {
    pub(super) online: Option<bool>,
    last: Option<Notice>,
    badge: Option<u64>,
    sequence: Option<u64>,
    delivered: u64,
    out_of_order: u64,
    overwritten: u64,
    expired: u64,
    dropped: u64,
    notices: Vec<Notice>,
    queues: Vec<Queue>,
    /// To be overtaken by the next one; since when.
    overtaken: Option<Box<(Delivery, u64)>>,
}

/// What APNs has for one topic of the device.
#[derive(Debug, Default)]
struct Queue {
    topic: u64,
    /// The device acknowledges the one before at this time.
    busy_until_ms: u64,
    /// What waits, and since when.
    waiting: Option<(Delivery, u64)>,
}

impl From<&Delivery> for Notice {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            text: delivery.text.as_deref().map(str::to_owned),
            badge: delivery.badge,
            sequence: delivery.sequence,
            collapse: delivery.collapse,
        }
    }
}

impl Device {
    fn is_online(&self, token: u64, scene: Scene<'_>) -> bool {
        self.online.unwrap_or_else(|| scene.faults.is_online(scene.seed, token))
    }

    /// Takes what APNs has accepted.
    pub(super) fn take(&mut self, delivery: Delivery, scene: Scene<'_>) {
        let Scene { faults, now_ms, .. } = scene;
        self.settle(delivery.token, scene);
        let online = self.is_online(delivery.token, scene);
        if online && faults.ack_delay_ms == 0 {
            return self.arrive(delivery, scene);
        }
        if !online && delivery.expiration == Some(0) {
            self.dropped += 1;
            return;
        }
        let at = self.queues.iter().position(|queue| queue.topic == delivery.topic).unwrap_or_else(|| {
            self.queues.push(Queue { topic: delivery.topic, ..Queue::default() });
            self.queues.len() - 1
        });
        let queue = &mut self.queues[at];
        if online && queue.busy_until_ms <= now_ms {
            queue.busy_until_ms = now_ms + faults.ack_delay_ms;
            return self.arrive(delivery, scene);
        }
        if queue.waiting.is_none() {
            queue.waiting = Some((delivery, now_ms));
        } else {
            self.overwritten += 1;
            if !scene.strikes(SALT_RACE, faults.race, delivery.id) {
                queue.waiting = Some((delivery, now_ms));
            }
        }
    }

    /// Lets happen what was due by now: expiry, acknowledgements, the return of the device.
    pub(super) fn settle(&mut self, token: u64, scene: Scene<'_>) {
        if self.queues.is_empty() && self.overtaken.is_none() {
            return;
        }
        let now_ms = scene.now_ms;
        let online = self.is_online(token, scene);
        let mut due = Vec::new();
        for queue in &mut self.queues {
            let expired = |(delivery, since_ms): &(Delivery, u64)| {
                let stored_until = since_ms + STORED_MS_MAX;
                let until_ms = delivery.expiration.filter(|at| *at > 0).map_or(stored_until, |at| at * 1000);
                now_ms >= until_ms.min(stored_until)
            };
            if queue.waiting.as_ref().is_some_and(expired) {
                queue.waiting = None;
                self.expired += 1;
            }
            if online
                && queue.busy_until_ms <= now_ms
                && let Some((delivery, _)) = queue.waiting.take()
            {
                queue.busy_until_ms = now_ms + scene.faults.ack_delay_ms;
                due.push(delivery);
            }
        }
        for delivery in due {
            self.arrive(delivery, scene);
        }
        if self.overtaken.as_ref().is_some_and(|held| now_ms >= held.1 + REORDER_MS_MAX)
            && let Some(held) = self.overtaken.take()
        {
            self.show(&held.0);
        }
    }

    fn arrive(&mut self, delivery: Delivery, scene: Scene<'_>) {
        if self.overtaken.is_none() && scene.strikes(SALT_REORDER, scene.faults.reorder, delivery.id) {
            self.overtaken = Some(Box::new((delivery, scene.now_ms)));
            return;
        }
        self.show(&delivery);
        if let Some(held) = self.overtaken.take() {
            self.show(&held.0);
        }
    }

    fn show(&mut self, delivery: &Delivery) {
        let notice = Notice::from(delivery);
        self.out_of_order += u64::from(notice.sequence.is_some() && notice.sequence < self.sequence);
        self.badge = notice.badge.or(self.badge);
        self.sequence = notice.sequence.or(self.sequence);
        self.delivered += 1;
        if notice.text.is_some() {
            self.notices.retain(|shown| notice.collapse.is_none() || shown.collapse != notice.collapse);
            if self.notices.len() >= NOTICES_MAX {
                self.notices.remove(0);
            }
            self.notices.push(notice.clone());
        }
        self.last = Some(notice);
    }

    pub(super) fn shown(&self, token: u64, scene: Scene<'_>) -> Shown {
        let last = self.last.as_ref();
        Shown {
            id: last.map_or(0, |last| last.id),
            text: last.and_then(|last| last.text.clone()),
            collapse: last.and_then(|last| last.collapse),
            badge: self.badge,
            sequence: self.sequence,
            online: self.is_online(token, scene),
            delivered: self.delivered,
            out_of_order: self.out_of_order,
            overwritten: self.overwritten,
            expired: self.expired,
            dropped: self.dropped,
            notices: self.notices.clone(),
            stored: self
                .queues
                .iter()
                .filter_map(|queue| Some(Notice::from(&queue.waiting.as_ref()?.0)))
                .collect(),
        }
    }
}
