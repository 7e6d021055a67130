//! What all connections of a simulator share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::broadcast::Channels;
use crate::certificates::Certificates;
use crate::config::{RTT_MS_MAX, SimulatorConfig, WINDOW_BYTES_MAX, WINDOW_BYTES_MIN};
use crate::devices::{Devices, Scene, Shown};
use crate::faults::{Faults, FaultsError};
use crate::fingerprint::{BuildMixed, fingerprint, mix};
use crate::log::{Book, lock};
use crate::provider_token::{Environment, ProviderKey, TokenPolicy};
use crate::registry::{NamedTokens, TokenState};
use crate::request::Strictness;
use crate::stats::{Counts, Stats};

/// Orders to all connections; each looks when it changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// Grows with each change of the faults.
    pub(crate) faults: u64,
    /// Grows with each change of the keys.
    pub(crate) tokens: u64,
    /// Grows with each order to close every connection with GOAWAY.
    pub(crate) goaway: u64,
    /// Grows with each order to reset every connection.
    pub(crate) reset: u64,
    pub(crate) stop: bool,
}

pub(crate) struct Shared {
    pub(crate) environment: Environment,
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) bundles: Vec<u64>,
    pub(crate) strictness: Strictness,
    pub(crate) streams_max: u32,
    pub(crate) connections_max: u64,
    pub(crate) devices: Option<Devices>,
    pub(crate) channels: Channels,
    pub(crate) book: Arc<Book>,
    pub(crate) stats: Stats,
    pub(crate) orders: watch::Sender<Orders>,
    attempts: Mutex<Attempts>,
    /// As they were set, and when.
    faults: RwLock<(Arc<Faults>, Instant)>,
    /// As they are at this time.
    faults_now: RwLock<Arc<Faults>>,
    /// Grows when other faults were set.
    pub(crate) faults_set: watch::Sender<u64>,
    named: RwLock<NamedTokens>,
    tokens: RwLock<Arc<TokenPolicy>>,
    half_round_trip_ns: AtomicU64,
    window_bytes: AtomicU32,
    clock_offset_ms: i64,
    ids: AtomicU64,
    ids_seed: u64,
}

impl Shared {
    pub(crate) fn new(config: &SimulatorConfig, certificates: Arc<Certificates>) -> Self {
        Self {
            environment: config.environment,
            certificates,
            bundles: config.bundle_ids.iter().map(|bundle| fingerprint(bundle.as_bytes())).collect(),
            strictness: config.strictness,
            streams_max: config.streams_max.max(1),
            connections_max: config.connections_max,
            devices: config.devices.then(Devices::default),
            channels: Channels::new(config.broadcast.clone()),
            book: Arc::new(Book::new(&config.log)),
            stats: Stats::default(),
            orders: watch::Sender::new(Orders::default()),
            attempts: Mutex::default(),
            faults: RwLock::new((Arc::new(config.faults.clone()), Instant::now())),
            faults_now: RwLock::new(Arc::new(config.faults.at(Duration::ZERO))),
            faults_set: watch::Sender::new(0),
            named: RwLock::default(),
            tokens: RwLock::new(Arc::new(config.tokens.clone())),
            half_round_trip_ns: AtomicU64::new(half_ns(config.rtt_ms)),
            window_bytes: AtomicU32::new(config.window_bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX)),
            clock_offset_ms: config.clock_offset_s.saturating_mul(1000),
            ids: AtomicU64::new(0),
            ids_seed: mix(config.faults.seed ^ SALT_IDS),
        }
    }

    /// The faults at this time.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        Arc::clone(&self.faults_now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The faults as they were set, phases included.
    pub(crate) fn faults_with_phases(&self) -> Arc<Faults> {
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner).0)
    }

    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        faults.check()?;
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(faults), Instant::now());
        self.follow_phases();
        self.faults_set.send_modify(|times| *times += 1);
        Ok(())
    }

    /// Puts in force what holds now, and says how long until something else does.
    pub(crate) fn follow_phases(&self) -> Option<Duration> {
        let (faults, since) = self.faults.read().unwrap_or_else(PoisonError::into_inner).clone();
        let elapsed = since.elapsed();
        let now = faults.at(elapsed);
        if *self.faults() != now {
            *self.faults_now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(now);
            self.orders.send_modify(|orders| orders.faults += 1);
        }
        faults.changes_after(elapsed).map(|at| at.saturating_sub(elapsed))
    }

    /// How provider tokens are judged.
    pub(crate) fn tokens(&self) -> Arc<TokenPolicy> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a key, in place of the one with the same id and team.
    pub(crate) fn set_key(&self, key: ProviderKey) {
        self.change_tokens(|tokens| tokens.set_key(key));
    }

    /// `false` if there is no such key.
    pub(crate) fn set_key_revoked(&self, key_id: &str, revoked: bool) -> bool {
        self.change_tokens(|tokens| tokens.set_revoked(key_id, revoked))
    }

    fn change_tokens<T>(&self, change: impl FnOnce(&mut TokenPolicy) -> T) -> T {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(Arc::make_mut(&mut tokens));
        drop(tokens);
        self.orders.send_modify(|orders| orders.tokens += 1);
        changed
    }

    /// Half of the round trip that is played.
    pub(crate) fn half_round_trip_ns(&self) -> u64 {
        self.half_round_trip_ns.load(Ordering::Relaxed)
    }

    /// The window of connections that come from now on.
    pub(crate) fn window_bytes(&self) -> u32 {
        self.window_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn network(&self) -> Network {
        Network { rtt_ms: self.half_round_trip_ns() * 2 / 1_000_000, window_bytes: self.window_bytes() }
    }

    pub(crate) fn set_network(&self, network: Network) {
        self.half_round_trip_ns.store(half_ns(network.rtt_ms), Ordering::Relaxed);
        let window_bytes = network.window_bytes.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX);
        self.window_bytes.store(window_bytes, Ordering::Relaxed);
    }

    /// Milliseconds since the epoch by the clock that is played.
    pub(crate) fn wall_ms(&self) -> u64 {
        crate::clock::wall_ms().saturating_add_signed(self.clock_offset_ms)
    }

    pub(crate) fn counts(&self) -> Counts {
        self.stats.counts(self.book.dropped())
    }

    /// `false` if too many tokens have a state of their own.
    pub(crate) fn set_token(&self, token: u64, state: TokenState) -> bool {
        self.named.write().unwrap_or_else(PoisonError::into_inner).set(token, state)
    }

    pub(crate) fn token_state(&self, faults: &Faults, token: u64) -> TokenState {
        let named = self.named.read().unwrap_or_else(PoisonError::into_inner).get(token);
        named.unwrap_or_else(|| faults.tokens.state(faults.seed, token))
    }

    /// How often this id was seen before, counting this time from now on.
    pub(crate) fn attempt(&self, id: u128) -> u32 {
        lock(&self.attempts).count(id)
    }

    /// An id for a request that brought none: a version 4 UUID.
    pub(crate) fn new_id(&self) -> u128 {
        let number = self.ids.fetch_add(1, Ordering::Relaxed);
        let (high, low) =
            (mix(number ^ self.ids_seed), mix(number.wrapping_add(self.ids_seed.rotate_left(17))));
        let bits = u128::from(high) << 64 | u128::from(low);
        bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62
    }

    /// What the device behind a token shows now.
    pub(crate) fn device(&self, token: u64) -> Option<Shown> {
        self.with_scene(|devices, scene| devices.shown(scene, token))?
    }

    /// `false` if devices are not remembered, or there is no room for another.
    pub(crate) fn set_device_online(&self, token: u64, online: Option<bool>) -> bool {
        self.with_scene(|devices, scene| devices.set_online(scene, token, online)).unwrap_or(false)
    }

    fn with_scene<T>(&self, look: impl FnOnce(&Devices, Scene<'_>) -> T) -> Option<T> {
        let faults = self.faults();
        let scene = Scene { faults: &faults.device, seed: faults.seed, now_ms: self.wall_ms() };
        self.devices.as_ref().map(|devices| look(devices, scene))
    }

    /// Forgets what was seen: log, counters, devices, channels, attempts, states of single tokens. Faults stay.
    pub(crate) fn reset(&self) {
        self.book.clear();
        self.stats.clear();
        *lock(&self.attempts) = Attempts::default();
        *self.named.write().unwrap_or_else(PoisonError::into_inner) = NamedTokens::default();
        self.channels.clear();
        if let Some(devices) = &self.devices {
            devices.clear();
        }
    }
}

const SALT_IDS: u64 = 0x6964_7321;

fn half_ns(rtt_ms: u64) -> u64 {
    rtt_ms.min(RTT_MS_MAX) * 1_000_000 / 2
}

/// The wire that is played; see the fields of the same names of [`SimulatorConfig`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Network {
    /// Round trip in milliseconds, for every connection.
    pub rtt_ms: u64,
    /// Window in bytes, for connections that come from now on.
    pub window_bytes: u32,
}

impl Network {
    /// Whether it can be played as it is; else says what is out of bounds, and the bounds.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.rtt_ms > RTT_MS_MAX {
            return Err(format!("rtt_ms is {}; give 0 to {RTT_MS_MAX}", self.rtt_ms));
        }
        if !(WINDOW_BYTES_MIN..=WINDOW_BYTES_MAX).contains(&self.window_bytes) {
            let given = self.window_bytes;
            return Err(format!("window_bytes is {given}; give {WINDOW_BYTES_MIN} to {WINDOW_BYTES_MAX}"));
        }
        Ok(())
    }
}

/// The most ids of which the attempts are counted; beyond, the older half is forgotten.
pub(crate) const ATTEMPTS_MAX: usize = 1 << 22;

/// How often each id was seen, in two generations.
#[derive(Default)]
struct Attempts {
    now: HashMap<u64, u8, BuildMixed>,
    before: HashMap<u64, u8, BuildMixed>,
}

impl Attempts {
    fn count(&mut self, id: u128) -> u32 {
        let key = mix((id >> 64) as u64 ^ mix(id as u64));
        if self.now.len() >= ATTEMPTS_MAX / 2 {
            self.before = std::mem::take(&mut self.now);
        }
        let before = &self.before;
        let seen = self.now.entry(key).or_insert_with(|| before.get(&key).copied().unwrap_or(0));
        let attempt = *seen;
        *seen = seen.saturating_add(1);
        u32::from(attempt)
    }
}
