//! The part that submits to a gateway over HTTP, as a backend does that links no library.

use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;
use skein_apns_sim::checker::Confirmed;
use skein_apns_sim::clock::monotonic_ns;
use skein_core::NotificationId;

use crate::arguments::Submitting;
use crate::http::Client;
use crate::part::{Pace, Submitted};
use crate::submissions::{self, Submission};
use crate::traffic::{LANES, POOL, Place, Traffic};

/// Notifications in one request.
const ITEMS_MAX: usize = 500;

#[derive(Deserialize)]
struct Answer {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: NotificationId,
    outcome: String,
}

/// Submits over one connection for each lane of tokens, so that a token's notifications are submitted one after the other;
/// writes the list of what was confirmed.
pub(crate) fn run(arguments: &Submitting) -> Result<Submitted> {
    let began_ns = monotonic_ns();
    let pace = &Pace::new(arguments.paced);
    let lists = thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..LANES).map(|lane| scope.spawn(move || Lane::new(arguments, lane)?.run(pace))).collect();
        let joined = lanes.into_iter().map(|lane| lane.join().map_err(|_| anyhow!("a lane panics"))?);
        joined.collect::<Result<Vec<_>>>()
    })?;
    let mut list: Vec<Submission> = lists.into_iter().flatten().collect();
    list.sort_unstable_by_key(|submission| submission.confirmed.sequence);
    submissions::write(&arguments.list, &list)?;
    let confirmed = list.len() as u64;
    Ok(Submitted {
        confirmed,
        refused: arguments.notifications - confirmed,
        began_ns,
        ended_ns: monotonic_ns(),
    })
}

/// One connection and its tokens.
struct Lane<'a> {
    arguments: &'a Submitting,
    traffic: Traffic,
    lane: u64,
    client: Client,
    confirmed: Vec<Submission>,
}

impl<'a> Lane<'a> {
    fn new(arguments: &'a Submitting, lane: u64) -> Result<Self> {
        let client = Client::connect(&arguments.target, &format!("Bearer {}", arguments.key))?;
        let traffic = Traffic::new(arguments.seed);
        Ok(Self { arguments, traffic, lane, client, confirmed: Vec::new() })
    }

    fn run(mut self, pace: &Pace) -> Result<Vec<Submission>> {
        match self.arguments.batch {
            0 | 1 => self.singles(pace)?,
            size => self.batches(size.into())?,
        }
        Ok(self.confirmed)
    }

    fn singles(&mut self, pace: &Pace) -> Result<()> {
        let mut places: Vec<Place> = Vec::new();
        for n in 0..self.arguments.notifications {
            let place = self.traffic.single(n);
            if Traffic::lane_of(place.token) != self.lane {
                continue;
            }
            let left = pace.left(n);
            if !left.is_zero() {
                self.post_singles(&mut places)?;
                thread::sleep(left);
            }
            places.push(place);
            if places.len() == ITEMS_MAX {
                self.post_singles(&mut places)?;
            }
        }
        self.post_singles(&mut places)
    }

    fn post_singles(&mut self, places: &mut Vec<Place>) -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let (submitted_ns, now) = (monotonic_ns(), NotificationId::now().at());
        let items: Vec<String> =
            places.iter().map(|place| self.traffic.notification_json(*place, now)).collect();
        self.post(&format!("[{}]", items.join(",")), places, submitted_ns)?;
        places.clear();
        Ok(())
    }

    fn batches(&mut self, size: u64) -> Result<()> {
        let total = self.arguments.notifications;
        for batch in (self.lane..total.div_ceil(size)).step_by(usize::try_from(LANES)?) {
            let first = batch * size;
            let places: Vec<Place> = self.traffic.batch(batch, first, size.min(total - first)).collect();
            let submitted_ns = monotonic_ns();
            let body = self.traffic.shared_json(&places, NotificationId::now().at());
            self.post(&body, &places, submitted_ns)?;
        }
        Ok(())
    }

    fn post(&mut self, body: &str, places: &[Place], submitted_ns: u64) -> Result<()> {
        let path = format!("/v1/notifications?pool={POOL}");
        let answer = self.client.request("POST", &path, body.as_bytes())?.successful()?;
        let answer: Answer =
            serde_json::from_slice(&answer).context("the gateway's answer is not understood")?;
        ensure!(answer.items.len() == places.len(), "the gateway answers for {} items", answer.items.len());
        for (item, place) in answer.items.iter().zip(places) {
            if item.outcome == "accepted" {
                let id = u128::from_be_bytes(*item.id.as_bytes());
                let token = self.traffic.fingerprint(place.token);
                let confirmed = Confirmed { id, token, sequence: place.sequence };
                self.confirmed.push(Submission { confirmed, submitted_ns });
            }
        }
        Ok(())
    }
}
