//! A sender as a member of its fleet: its life, its lock, its seat, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use skein_backends::clock::SystemClock;
use skein_backends::rabbitmq::Presence;
use skein_backends::zookeeper::{LiveWatch, ZooKeeperCoordinator, ZooKeeperOptions};
use skein_config::Config;
use skein_core::fleet::{CredentialReport, Incarnation, Member, MemberId, Report, ServedPool};
use skein_core::memory::StaticCoordinator;
use skein_core::seam::{Assignment, Clock as _, Coordinator, CoordinatorError, OwnedQueue, Standing};
use skein_core::{PoolName, QueueName, SlotMap, Timestamp};
use skein_sender::credential::view::CredentialView;
use skein_sender::description::{Describer, Parts};
use skein_sender::last_assignment::{FileNotebook, Remembered};
use skein_sender::member_lock::{LockError, MemberLock};
use skein_sender::metrics::Metrics;
use skein_sender::status::Status;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::credentials::Credentials;
use super::named;
use super::succession::Succession;
use crate::exit::Failure;

/// How often a sender describes itself without a cause.
const DESCRIBE_EVERY: Duration = Duration::from_secs(1);
/// How often it looks whether there is a cause.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a held lock is tried again.
const LOCK_AGAIN: Duration = Duration::from_millis(20);
/// Longest wait for ZooKeeper's word when leaving the fleet.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// ZooKeeper, and what it said last to this member on this host.
type FleetCoordinator = Remembered<ZooKeeperCoordinator, FileNotebook>;

/// Who says which queues are this process's own.
pub enum Coordinating {
    /// Its configuration.
    Alone(StaticCoordinator),
    /// Its fleet.
    Fleet(Arc<FleetCoordinator>),
}

/// What a sender owns by, and which of its earlier lives are dead.
pub struct Ownership {
    /// Who says.
    pub coordinator: Coordinating,
    /// Vouched for by the kernel.
    pub dead_lives: Vec<Incarnation>,
}

/// One life of a member, before it joins. The lock is held as long as this lives.
pub struct Life {
    /// What never changes in it.
    pub member: Member,
    lock: Option<MemberLock>,
}

impl Life {
    /// Begins a life: takes the lock of the member, waiting for an earlier process to end.
    ///
    /// # Errors
    /// [`Failure::Away`] if another process holds it for longer than `sender.lock_wait`.
    pub async fn begin(config: &Config) -> Result<Self, Failure> {
        let name = super::sender::member(config);
        let id = MemberId::parse(&name)
            .map_err(|error| Failure::Usage(format!("sender.member {name:?}: {error}")))?;
        let incarnation = Incarnation(Uuid::new_v4());
        let lock = lock(config, &id, incarnation).await?;
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut member = Member {
            id,
            incarnation,
            holds_lock: lock.is_some(),
            host,
            zone: config.sender.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pools: Vec::new(),
            ledger: Default::default(),
            broker: Default::default(),
            report: Report::default(),
            load: Default::default(),
            draining: false,
            succeeds: None,
            connection_prefix: String::new(),
            since: SystemClock.now(),
        };
        member.connection_prefix = format!("{}/", member.owner().connection_name());
        Ok(Self { member, lock })
    }

    /// The name of its connections to the broker.
    pub fn connection_name(&self) -> String {
        self.member.owner().connection_name()
    }

    /// The earlier lives that are dead for sure.
    fn dead_lives(&self) -> Vec<Incarnation> {
        self.lock.as_ref().map(|lock| lock.dead.clone()).unwrap_or_default()
    }
}

async fn lock(config: &Config, id: &MemberId, life: Incarnation) -> Result<Option<MemberLock>, Failure> {
    let Some(folder) = &config.sender.state_folder else {
        tracing::warn!(
            "sender.state_folder is not set: after a crash this sender waits the grace out before it writes"
        );
        return Ok(None);
    };
    let until = Instant::now() + config.sender.lock_wait;
    let mut told = false;
    loop {
        match MemberLock::take(folder, id, life) {
            Ok(lock) => return Ok(Some(lock)),
            Err(error @ LockError::Held { .. }) if Instant::now() >= until => {
                return Err(Failure::Away(error.to_string()));
            }
            Err(LockError::Held { .. }) => {
                if !told {
                    tracing::info!(member = %id, wait = ?config.sender.lock_wait, "an earlier process of this member still runs; waiting for its end");
                    told = true;
                }
                tokio::time::sleep(LOCK_AGAIN).await;
            }
            Err(error @ LockError::File { .. }) => {
                return Err(Failure::Usage(format!("sender.state_folder: {error}")));
            }
        }
    }
}

/// A member of a fleet.
pub struct Seat {
    /// Its coordinator.
    coordinator: Arc<FleetCoordinator>,
    zookeeper: Arc<ZooKeeperCoordinator>,
    life: Life,
    /// Whose place it takes.
    succession: Succession,
    /// Tells that it leaves.
    draining: watch::Sender<bool>,
}

impl Seat {
    /// Joins. While ZooKeeper is away it goes on trying, and owns what it owned on this host before; without a lock, nothing.
    pub fn join(
        config: &Config,
        options: ZooKeeperOptions,
        mut life: Life,
        credentials: &Credentials,
        succeeds: Option<&MemberId>,
    ) -> Result<Self, Failure> {
        if succeeds == Some(&life.member.id) {
            let why = "--succeeds names this sender itself; give it another name with --set sender.member=…";
            return Err(Failure::Usage(why.to_owned()));
        }
        let reports = reports(config, &credentials.views());
        life.member.pools =
            reports.keys().map(|pool| ServedPool { pool: pool.clone(), apns: Default::default() }).collect();
        life.member.report.credentials = reports;
        let pools = super::sender::pools(config)?;
        let slots: BTreeMap<PoolName, SlotMap> =
            pools.into_iter().map(|(pool, queues)| (pool, SlotMap::even(queues))).collect();
        let folder = config.sender.state_folder.as_ref().filter(|_| life.lock.is_some());
        let notebook = folder.map(|folder| FileNotebook::new(folder, &life.member.id));
        let (member, dead) = (life.member.clone(), life.dead_lives());
        let zookeeper = Arc::new(ZooKeeperCoordinator::join_after(options, member, dead, slots.clone()));
        let coordinator = Arc::new(Remembered::new(Arc::clone(&zookeeper), notebook, slots));
        let passing = Arc::clone(&coordinator);
        tokio::spawn(async move { passing.run().await });
        let succession = Succession::new(succeeds.cloned());
        Ok(Self { coordinator, zookeeper, life, succession, draining: watch::Sender::new(false) })
    }

    /// Follows the live settings.
    pub fn live(&self) -> LiveWatch {
        self.zookeeper.live()
    }

    /// What the sender owns by.
    pub fn ownership(&self) -> Ownership {
        let coordinator = Coordinating::Fleet(Arc::clone(&self.coordinator));
        Ownership { coordinator, dead_lives: self.life.dead_lives() }
    }

    /// Describes the sender for as long as it is polled: once a second, and at once when a decision may hang on it. Once all it
    /// needs is `declared`, it says whose place it takes.
    pub async fn describe(
        &self,
        config: &Config,
        presence: &Presence,
        credentials: &Credentials,
        status: Arc<Status>,
        metrics: Arc<Metrics>,
        mut declared: watch::Receiver<bool>,
    ) {
        let succeeding = async {
            if declared.wait_for(|declared| *declared).await.is_ok() {
                self.succession.run(&self.zookeeper).await;
            }
        };
        tokio::join!(self.tell(config, presence, credentials, status, metrics), succeeding);
    }

    async fn tell(
        &self,
        config: &Config,
        presence: &Presence,
        credentials: &Credentials,
        status: Arc<Status>,
        metrics: Arc<Metrics>,
    ) {
        let mut describer = Describer::new(status, Arc::clone(&metrics));
        let mut draining = self.draining.subscribe();
        let mut trouble = presence.trouble();
        let mut standing = self.coordinator.standing();
        let mut succeeds = self.succession.of();
        let (mut told, mut told_at) = (None, Instant::now());
        loop {
            let parts = Parts {
                credentials: reports(config, &credentials.views()),
                broker_trouble: trouble.borrow_and_update().clone(),
                draining: *draining.borrow_and_update(),
            };
            let now = describer.describe(&self.life.member, &parts, SystemClock.boot());
            let now = Member { succeeds: succeeds.borrow_and_update().clone(), ..now };
            let decides = Some(Member { load: Default::default(), ..now.clone() });
            if told != decides || told_at.elapsed() >= DESCRIBE_EVERY {
                self.coordinator.describe(now);
                (told, told_at) = (decides, Instant::now());
            }
            metrics.coordinator_away(matches!(*standing.borrow_and_update(), Standing::Away { .. }));
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                Ok(()) = draining.changed() => {}
                Ok(()) = trouble.changed() => {}
                Ok(()) = standing.changed() => {}
                Ok(()) = succeeds.changed() => {}
            }
        }
    }

    /// Waits until another sender has taken this one's place and nothing is its own any more.
    pub async fn succeeded(&self) {
        let by = self.zookeeper.succeeded().await;
        tracing::info!(by = %by.member, "its place is taken: this sender owns nothing any more and ends");
    }

    /// Waits until a later life has taken this one's place for good. Tells, once each, that ZooKeeper went and came.
    pub async fn replaced(&self) -> Incarnation {
        let mut standing = self.coordinator.standing();
        let mut was_joined = false;
        loop {
            let now = standing.borrow_and_update().clone();
            match now {
                Standing::Replaced(other) => return other,
                Standing::Away { why, .. } if was_joined => {
                    tracing::warn!(
                        why,
                        "ZooKeeper does not answer: static mode, this sender goes on with what it owns"
                    );
                    was_joined = false;
                }
                Standing::Joined if !was_joined => {
                    tracing::info!("a member of the fleet");
                    was_joined = true;
                }
                Standing::Away { .. } | Standing::Joined | Standing::Alone => {}
            }
            if standing.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Says that it leaves: its queues are handed over.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Leaves the fleet, as the last thing.
    pub async fn leave(&self) {
        if tokio::time::timeout(LEAVE_LIMIT, self.coordinator.leave()).await.is_err() {
            tracing::debug!("ZooKeeper was not told of this end; the session's end will tell");
        }
    }
}

fn reports(
    config: &Config,
    views: &BTreeMap<String, CredentialView>,
) -> BTreeMap<PoolName, CredentialReport> {
    let report = |(name, view): (&String, &CredentialView)| {
        let pool = config.pools.get(name)?;
        let topics: BTreeSet<&String> = pool.topics.iter().collect();
        let report = CredentialReport {
            state: view.state.to_owned(),
            environment: pool.environment.label().to_owned(),
            topics: topics.into_iter().cloned().collect(),
            kind: view.kind.map(str::to_owned),
            expires_at: view.expires_at.as_deref().and_then(Timestamp::parse),
            days_left: view.days_left,
            paused: None,
            trouble: view.trouble.clone(),
        };
        Some((named(name).ok()?, report))
    };
    views.iter().filter_map(report).collect()
}

macro_rules! either {
    ($self:ident, $one:ident => $call:expr) => {
        match $self {
            Self::Alone($one) => $call,
            Self::Fleet($one) => $call,
        }
    };
}

impl Coordinator for Coordinating {
    fn assignment(&self) -> watch::Receiver<Assignment> {
        either!(self, one => one.assignment())
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        either!(self, one => one.standing())
    }

    fn describe(&self, member: Member) {
        either!(self, one => one.describe(member));
    }

    async fn settled(&self, queue: &QueueName, epoch: u64) -> Result<(), CoordinatorError> {
        either!(self, one => one.settled(queue, epoch).await)
    }

    async fn release(&self, queue: &QueueName, epoch: u64, clean: bool) -> Result<(), CoordinatorError> {
        either!(self, one => one.release(queue, epoch, clean).await)
    }

    async fn reclaim(
        &self,
        queue: &QueueName,
        epoch: u64,
        predecessor_dead: bool,
    ) -> Result<OwnedQueue, CoordinatorError> {
        either!(self, one => one.reclaim(queue, epoch, predecessor_dead).await)
    }
}
