//! The notifications of a run of the APNs client: each with a device token, an id and a payload of its own, in lanes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_apns::{Client, Expiration, Priority, PushType, Request};
use skein_apns_sim::clock::wall_ms;
use skein_core::lane::{LaneId, Lanes};
use skein_core::{DeviceToken, NotificationId, Timestamp};

use crate::arguments::ApnsLoad;
use crate::traffic::{TOPIC, Traffic, mix};

/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
/// Lanes hold at most so many times what may be in flight: what waits behind a head that is.
const ENTERED_FACTOR: usize = 2;

/// Notifications on their way: made when their time has come, written when their lane is free, done when answered.
pub(crate) struct Work {
    traffic: Traffic,
    payload_bytes: usize,
    topic: Arc<str>,
    expiration: Expiration,
    in_flight_max: usize,
    in_flight: usize,
    lanes: Lanes<u64>,
    submitted: u64,
    wanted: u64,
    answered: u64,
    latencies_us: Vec<u32>,
}

impl Work {
    pub(crate) fn new(load: &ApnsLoad) -> Self {
        Self {
            traffic: Traffic::new(load.seed),
            payload_bytes: load.payload_bytes as usize,
            topic: TOPIC.into(),
            expiration: Expiration::At(NotificationId::now().at().plus(LIFETIME).as_secs() as u64),
            in_flight_max: load.in_flight as usize,
            in_flight: 0,
            lanes: Lanes::default(),
            submitted: 0,
            wanted: 0,
            answered: 0,
            latencies_us: Vec::with_capacity(load.notifications as usize),
        }
    }

    /// Submits up to this number from now on.
    pub(crate) fn submit_until(&mut self, wanted: u64) {
        self.wanted = wanted;
    }

    /// How many entered their lanes.
    pub(crate) fn submitted(&self) -> u64 {
        self.submitted
    }

    /// How many were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether everything was submitted and answered.
    pub(crate) fn is_done(&self) -> bool {
        self.answered >= self.wanted
    }

    /// From each write to its answer, by number.
    pub(crate) fn latencies_us(&self) -> &[u32] {
        &self.latencies_us
    }

    /// Writes what is due, as far as lanes, client and the bound on what is in flight allow.
    pub(crate) fn fill(&mut self, client: &mut Client, due: u64) {
        let due = due.min(self.wanted);
        if self.in_flight >= self.in_flight_max
            || (self.submitted >= due && self.lanes.len() == self.in_flight)
        {
            return;
        }
        let mut room = client.room();
        let now = Timestamp::from_millis(wall_ms() as i64);
        while room > 0 && self.in_flight < self.in_flight_max {
            let Some((lane, number)) = self.lanes.begin().map(|(lane, number)| (lane, *number)) else {
                if self.submitted >= due || self.lanes.len() >= ENTERED_FACTOR * self.in_flight_max {
                    return;
                }
                self.enter();
                continue;
            };
            let request = self.request(lane, number, now);
            if client.write(request).is_err() {
                self.lanes.put_back(lane);
                return;
            }
            self.in_flight += 1;
            room -= 1;
        }
    }

    /// The answer to a lane's head is final.
    pub(crate) fn finish(&mut self, lane: LaneId, took_us: u64) {
        let Some(number) = self.lanes.finish(lane) else { return };
        self.in_flight -= 1;
        self.answered += 1;
        let at = number as usize;
        if self.latencies_us.len() <= at {
            self.latencies_us.resize(at + 1, 0);
        }
        self.latencies_us[at] = took_us.min(u32::MAX.into()) as u32;
    }

    /// A lane's head has to be written again.
    pub(crate) fn put_back(&mut self, lane: LaneId) {
        self.in_flight -= 1;
        self.lanes.put_back(lane);
    }

    fn enter(&mut self) {
        let place = self.traffic.single(self.submitted);
        if let Ok(token) = DeviceToken::from_bytes(&self.traffic.token(place.token)) {
            self.lanes.enter(&token, self.submitted);
        }
        self.submitted += 1;
    }

    fn request(&self, lane: LaneId, number: u64, now: Timestamp) -> Request {
        let token = self.traffic.token(self.traffic.single(number).token);
        let mut random = [0; 10];
        random[..8].copy_from_slice(&mix(number ^ (now.as_millis() as u64) << 24).to_be_bytes());
        random[8..].copy_from_slice(&(number as u16).to_be_bytes());
        Request {
            key: lane.as_u64(),
            token: Bytes::copy_from_slice(&token),
            topic: Arc::clone(&self.topic),
            push_type: PushType::Alert,
            priority: Priority::Immediate,
            expiration: self.expiration,
            collapse_id: None,
            apns_id: *NotificationId::new(now, random).as_bytes(),
            payload: self.traffic.payload_of(number, self.payload_bytes).into(),
        }
    }
}
