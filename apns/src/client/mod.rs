//! The client of one credential on one runtime: connections by need, requests in, answers out.

mod config;
mod links;
mod need;
mod pacing;
mod progress;
mod status;
mod upkeep;

pub use config::ClientConfig;
pub use status::{Health, LastFailure, Status};

use crate::answer::{Answer, Evidence, NotSent};
use crate::connection::{Answered, Lost};
use crate::credential::Credential;
use crate::dial::{DialError, Dialled, Route};
use crate::link::Gate;
use crate::request::Request;
use crate::tls;
use futures_util::stream::FuturesUnordered;
use links::Links;
use pacing::Pacing;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Instant;
use tokio::time::Sleep;

/// Bytes read from a socket at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that wait for a socket, above which they are written in the midst of a turn: then the other side works on the
/// first requests of a burst while we make the last.
const EAGER_BYTES: usize = 32 * 1024;

/// Places in the round of addresses that a client may begin at.
const TURNS: f64 = 1_000_000.0;

type Connecting = Pin<Box<dyn Future<Output = Result<Dialled, DialError>>>>;

struct Held {
    request: Request,
    since: Instant,
}

/// Writes pushes of one credential to one endpoint.
///
/// It spawns nothing: all its work, connecting included, happens while [`Client::progress`] is polled, so it must be
/// polled whenever the task has nothing else to do. What [`Client::write`] queued between two polls goes to the socket in
/// few writes. It belongs to one `current_thread` runtime and is not `Send`.
///
/// Each request that [`Client::write`] takes gets exactly one answer, from [`Client::progress`], [`Client::drain`] or
/// [`Client::close`]. Dropping it drops the answers of what is open.
pub struct Client {
    config: ClientConfig,
    credential: Credential,
    route: Route,
    links: Links,
    connecting: FuturesUnordered<Connecting>,
    held: VecDeque<Held>,
    timer: Option<Pin<Box<Sleep>>>,
    timer_at: Instant,
    pacing: Pacing,
    buffer: Box<[u8]>,
    next_number: u64,
    /// Connects begun, from a random start: goes round the addresses of the endpoint.
    turn: usize,
    /// When the number of connections is thought over next, and when it was last.
    upkeep_at: Instant,
    thought_at: Instant,
    /// The caller was told that there is no room.
    wants_room: Cell<bool>,
    draining: bool,
    gate: Box<Gate>,
    last_failure: Option<(DialError, Instant)>,
    /// When APNs last began to speak on a connection.
    stood_at: Option<Instant>,
    last_goaway: Option<crate::connection::GoAway>,
    last_lost: Option<&'static str>,
    ended: Health,
}

impl Client {
    /// A client without connections; no I/O happens before [`Client::progress`]. The credential should have passed
    /// [`Credential::check`].
    pub fn new(config: ClientConfig, credential: Credential) -> Self {
        let now = Instant::now();
        let route = Route {
            endpoint: config.endpoint.clone(),
            proxy: config.proxy.clone(),
            tls: tls::client_config(&config.roots, &credential),
            timeout: config.connect_timeout,
        };
        let mut pacing =
            Pacing::new(config.connect_interval_min, config.backoff_min, config.backoff_max, now);
        Self {
            turn: (pacing.fraction() * TURNS) as usize,
            pacing,
            route,
            links: Links::new(now),
            connecting: FuturesUnordered::new(),
            held: VecDeque::new(),
            timer: None,
            timer_at: now,
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
            next_number: 1,
            upkeep_at: now,
            thought_at: now,
            wants_room: Cell::new(false),
            draining: false,
            gate: Box::new(|| true),
            last_failure: None,
            stood_at: None,
            last_goaway: None,
            last_lost: None,
            ended: Health::default(),
            config,
            credential,
        }
    }

    /// Asks `gate` right before each write to a socket; while it says no, nothing is written, not even what was accepted
    /// before, and it is asked again every 20 ms. For callers whose right to send may end at any instant. Shut for
    /// longer than the silence that [`ClientConfig`] allows, it costs the connections.
    pub fn set_gate(&mut self, gate: impl Fn() -> bool + 'static) {
        self.gate = Box::new(gate);
    }

    /// How many requests [`Client::write`] takes now: streams free on open connections, and the room to hold some until
    /// one is. Once it was 0, [`Client::progress`] resolves when it no longer is.
    pub fn room(&self) -> usize {
        let room = if self.draining {
            0
        } else {
            let streams = if self.held.is_empty() { self.links.sure_room() } else { 0 };
            let buffer = self.config.buffer_max.saturating_sub(self.held.len());
            (streams + buffer).min(self.config.in_flight_max.saturating_sub(self.in_hand()))
        };
        if room == 0 {
            self.wants_room.set(true);
        }
        room
    }

    /// Takes a request, or hands it back when there is no room. Writes nothing yet, unless much waits already:
    /// [`Client::progress`] does.
    #[expect(clippy::result_large_err, reason = "the request itself comes back")]
    pub fn write(&mut self, request: Request) -> Result<(), Request> {
        if self.draining {
            return Err(request);
        }
        if self.in_hand() >= self.config.in_flight_max {
            self.wants_room.set(true);
            return Err(request);
        }
        let now = Instant::now();
        let request = if self.held.is_empty() {
            match self.place(request, now, now) {
                Ok(()) => return Ok(()),
                Err(request) => request,
            }
        } else {
            request
        };
        if self.held.len() >= self.config.buffer_max {
            self.wants_room.set(true);
            return Err(request);
        }
        if self.held.is_empty() {
            self.think_soon(now);
        }
        self.held.push_back(Held { request, since: now });
        Ok(())
    }

    /// Opens a stream for a request on a connection with room; one whose successor is wanted comes last.
    #[expect(clippy::result_large_err, reason = "the request itself comes back")]
    fn place(&mut self, request: Request, since: Instant, now: Instant) -> Result<(), Request> {
        let Some(place) = self.links.place_with_room(now) else { return Err(request) };
        let link = &mut self.links[place];
        link.last_used = now;
        link.touch();
        let before = link.machine.outgoing().len();
        let outcome = link.machine.send(request, since, now);
        if before / EAGER_BYTES < link.machine.outgoing().len() / EAGER_BYTES {
            link.flush_early(&*self.gate);
        }
        self.links.recount(place);
        outcome
    }

    /// Uses another credential from here on: connects with it, and retires the connections of the old one when the new one
    /// has served; those on which APNs refused every request, at once. Until then, or if it never does, the old ones go on
    /// to the end of their age. The new credential should have passed [`Credential::check`].
    ///
    /// Gives the number from which on connections are the new one's ([`Evidence::connection`]).
    pub fn rotate(&mut self, credential: Credential) -> u64 {
        let now = Instant::now();
        self.route.tls = tls::client_config(&self.config.roots, &credential);
        self.credential = credential;
        self.connecting.clear();
        for link in &mut *self.links {
            link.renew_at = now;
            if link.machine.counters().replies > 0 && !link.machine.has_served() {
                link.retire();
            }
        }
        self.upkeep_at = now;
        self.next_number
    }

    /// Other bounds from here on, those of [`ClientConfig`] by these names. Nothing is cut: connections beyond them drain, and
    /// until fewer requests are open, none is taken.
    pub fn resize(&mut self, connections_max: usize, in_flight_max: usize) {
        self.config.connections_max = connections_max.max(1);
        self.config.in_flight_max = in_flight_max.max(1);
        self.upkeep_at = Instant::now();
    }

    /// Does the client's work until there is something for the caller: answers, appended to `answers` in batches, or
    /// room after there was none.
    ///
    /// # Cancellation safety
    ///
    /// Safe: nothing is kept in the future. Answers are appended in the poll that resolves.
    pub async fn progress(&mut self, answers: &mut Vec<Answered>) {
        std::future::poll_fn(|cx| self.poll_progress(cx, answers)).await
    }

    /// Takes no more requests, and resolves when every one it took is answered: at `deadline` what is still open is
    /// answered as in doubt or not sent, and connections are closed.
    ///
    /// # Cancellation safety
    ///
    /// Safe: answers found so far are in `answers`; call it again for the rest. The client stays without room.
    pub async fn drain(&mut self, deadline: Instant, answers: &mut Vec<Answered>) {
        self.draining = true;
        self.upkeep_at = Instant::now();
        let wait = tokio::time::sleep_until(deadline.into());
        tokio::pin!(wait);
        while !(self.held.is_empty() && self.in_flight() == 0) {
            tokio::select! {
                biased;
                () = self.progress(answers) => {}
                () = &mut wait => break,
            }
        }
        self.end_all(answers);
    }

    /// Ends it at once: everything open is answered as in doubt if it was written, as not sent otherwise. Connections are
    /// closed without a farewell.
    pub fn close(mut self, answers: &mut Vec<Answered>) {
        self.end_all(answers);
    }

    fn end_all(&mut self, answers: &mut Vec<Answered>) {
        let now = Instant::now();
        self.draining = true;
        self.connecting.clear();
        for link in self.links.take_all() {
            self.ended.connections.add(link.machine.counters());
            self.ended.retired += 1;
            link.end(Lost::Ours, &mut Context::from_waker(Waker::noop()), now, answers);
        }
        for held in std::mem::take(&mut self.held) {
            answers.push(held.returned(NotSent::Closed, now));
        }
    }

    /// Requests written and not answered.
    pub fn in_flight(&self) -> usize {
        self.links.in_flight()
    }

    /// Requests taken and not answered.
    fn in_hand(&self) -> usize {
        self.in_flight() + self.held.len()
    }

    /// Whether a connection is in service: APNs has spoken on it, and it takes work. What is written while none is is held,
    /// for a bounded time.
    pub fn is_connected(&self) -> bool {
        self.links.iter().any(|link| link.machine.is_in_service())
    }

    /// Its state now.
    pub fn status(&self) -> Status {
        let now = Instant::now();
        let retiring = self.links.iter().filter(|link| link.machine.is_retiring()).count();
        let open = self.links.iter().filter(|link| link.machine.is_in_service()).count();
        Status {
            open,
            connecting: self.connecting.len() + self.links.len() - retiring - open,
            retiring,
            in_flight: self.in_flight(),
            held: self.held.len(),
            failures_in_row: self.pacing.failures(),
            last_failure: self.last_failure.as_ref().map(|(error, at)| LastFailure {
                failure: error.failure,
                detail: error.detail.clone(),
                ago: now.saturating_duration_since(*at),
                is_past: self.has_stood_since(*at),
            }),
            last_goaway: self.last_goaway.clone(),
            last_lost: self.last_lost,
        }
    }

    /// Its counts.
    pub fn health(&self) -> Health {
        let mut health = self.ended;
        for link in self.links.iter() {
            health.connections.add(link.machine.counters());
        }
        health
    }
}

impl Held {
    fn returned(self, why: NotSent, now: Instant) -> Answered {
        let duration_us = now.saturating_duration_since(self.since).as_micros() as u64;
        let evidence = Evidence { duration_us, ..Evidence::default() };
        (self.request.key, Answer::NotSent { why, evidence })
    }
}
