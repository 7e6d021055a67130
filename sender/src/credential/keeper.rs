//! The keeper of one pool's credential: looks at its files, takes orders, and puts a new one into use.
//!
//! **load** (read and check) → **try** (a dry connection) → **trial** (the pool's shards write with it, the old one's
//! connections stay) → **taken** (the old one's connections drain) or **reverted**. At each step before the last the old one
//! is still there, and a new one that fails leaves it so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use skein_apns::{ClientConfig, Credential, probe};
use skein_core::PoolName;
use tokio::sync::{mpsc, oneshot, watch};

use super::events::{Cause, Events};
use super::expiry::Warned;
use super::judgement::{Judge, Judgement};
use super::slot::{Ended, Slot};
use super::stamp::{Stamp, Watch};
use super::view::CredentialView;
use crate::metrics::Metrics;

/// Orders that wait for a keeper; the next one waits to be given.
const ORDERS_MAX: usize = 8;

/// Where a credential comes from.
pub struct Source {
    /// The files to watch.
    pub files: Vec<PathBuf>,
    /// Reads them as they are now and checks that the credential fits the pool, now; else says why not. Blocks for a few
    /// small files.
    pub load: Box<dyn Fn() -> Result<Credential, String> + Send + Sync>,
}

/// What a keeper is told.
pub struct Setup {
    /// The pool.
    pub pool: PoolName,
    /// How the pool connects, for the dry connection.
    pub client: ClientConfig,
    /// Where its credential comes from.
    pub source: Source,
    /// How often its files are looked at.
    pub look: Duration,
}

/// What became of an order.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The new credential is in place; on trial until APNs has taken a push.
    Rotated(Judgement),
    /// It is the one in place already.
    Unchanged,
    /// It can't be used, for this reason; the old one stays.
    Refused(String),
    /// APNs can't be reached to try it; the old one stays, and the files are looked at again.
    Away(String),
}

struct Order {
    cause: Cause,
    source: Option<Source>,
    reply: oneshot::Sender<Outcome>,
}

/// A running keeper. When the last handle is dropped it ends; the credential stays in place.
#[derive(Clone)]
pub struct Handle {
    slot: Arc<Slot>,
    orders: mpsc::Sender<Order>,
    view: watch::Receiver<CredentialView>,
}

impl Handle {
    /// For the pool's transports.
    pub fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    /// The credential as it is now.
    pub fn view(&self) -> CredentialView {
        self.view.borrow().clone().at(SystemTime::now())
    }

    /// Asks to look for a new credential now, from another source if one is given, and waits for what becomes of it.
    pub async fn rotate(&self, cause: Cause, source: Option<Source>) -> Outcome {
        let gone = || Outcome::Away("this process is ending".to_owned());
        let (reply, outcome) = oneshot::channel();
        if self.orders.send(Order { cause, source, reply }).await.is_err() {
            return gone();
        }
        outcome.await.unwrap_or_else(|_| gone())
    }
}

struct Trial {
    version: u64,
    old: Credential,
    /// Where the old one came from, if the new one came from elsewhere.
    from: Option<Source>,
    judge: Judge,
}

/// The keeper of one pool's credential.
pub struct Keeper {
    setup: Setup,
    slot: Arc<Slot>,
    metrics: Arc<Metrics>,
    shown: watch::Sender<CredentialView>,
    /// What is in place, on trial or not.
    current: Option<Credential>,
    trial: Option<Trial>,
    watch: Watch,
    warned: Warned,
    /// Why the latest new one was not used, until one is.
    trouble: Option<String>,
    /// The log was told that a new one waits for a connection.
    postponed: bool,
}

impl Keeper {
    /// Reads the credential to begin with and starts to keep it, on the current runtime. One that can't be used leaves the
    /// pool waiting for a better one, and harms no other (P5).
    pub fn start(setup: Setup, metrics: Arc<Metrics>) -> Handle {
        let stamp = Stamp::of(&setup.source.files);
        let (current, trouble) = match (setup.source.load)() {
            Ok(credential) => (Some(credential), None),
            Err(why) => (None, Some(why)),
        };
        let slot = Slot::new(current.clone());
        let (orders, taken) = mpsc::channel(ORDERS_MAX);
        let (shown, view) = watch::channel(CredentialView::default());
        let keeper = Self {
            slot: Arc::clone(&slot),
            metrics,
            shown,
            current,
            trial: None,
            watch: Watch::new(stamp),
            warned: Warned::default(),
            trouble,
            postponed: false,
            setup,
        };
        if let Some(why) = &keeper.trouble {
            keeper.events().refused(Cause::Configuration, why);
        }
        keeper.show();
        tokio::spawn(keeper.run(taken));
        Handle { slot, orders, view }
    }

    fn events(&self) -> Events<'_> {
        Events { metrics: &self.metrics, pool: &self.setup.pool }
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        loop {
            self.warn();
            self.show();
            let slot = Arc::clone(&self.slot);
            tokio::select! {
                order = orders.recv() => {
                    let Some(Order { cause, source, reply }) = order else { return };
                    self.watch = Watch::new(Stamp::of(&self.setup.source.files));
                    let before = source.map(|source| self.look_at(source));
                    let outcome = self.rotate(cause).await;
                    match (&outcome, before) {
                        (Outcome::Refused(_), Some(before)) => drop(self.look_at(before)),
                        (Outcome::Rotated(_), Some(before)) => {
                            if let Some(trial) = &mut self.trial {
                                trial.from.get_or_insert(before);
                            }
                        }
                        _ => {}
                    }
                    self.show();
                    // Who asked may have gone.
                    let _ = reply.send(outcome);
                }
                (version, ended) = slot.reported() => self.ended(version, ended),
                () = tokio::time::sleep(self.setup.look) => {
                    if self.watch.is_new(Stamp::of(&self.setup.source.files)) {
                        self.rotate(Cause::File).await;
                    }
                }
            }
        }
    }

    /// Reads from there from now on; gives where it read before.
    fn look_at(&mut self, source: Source) -> Source {
        self.watch = Watch::new(Stamp::of(&source.files));
        std::mem::replace(&mut self.setup.source, source)
    }

    /// load → check → try → put in place.
    async fn rotate(&mut self, cause: Cause) -> Outcome {
        let new = match (self.setup.source.load)() {
            Ok(new) => new,
            Err(why) => return self.refused(cause, why),
        };
        let info = new.info();
        if self.current.as_ref().is_some_and(|current| current.info() == info) {
            self.trouble = None;
            return Outcome::Unchanged;
        }
        // Back to the one that is still there: it needs neither connection nor trial.
        if let Some(Trial { old, judge, .. }) = self.trial.take_if(|trial| trial.old.info() == info) {
            self.put_back(old);
            self.trouble = None;
            self.events().rotated(cause, &info);
            return Outcome::Rotated(judge.taken());
        }
        match probe(&self.setup.client, &new).await {
            Ok(_) => {}
            Err(error) if error.is_refusal() => return self.refused(cause, error.to_string()),
            Err(error) => {
                let why = error.to_string();
                if !self.postponed {
                    self.events().postponed(&why);
                }
                self.postponed = true;
                self.watch.again();
                self.trouble = Some(why.clone());
                return Outcome::Away(why);
            }
        }
        let old = self.current.replace(new.clone());
        let version = self.slot.publish(Some(new), old.is_some());
        let judgement = match (&mut self.trial, old) {
            (Some(trial), _) => {
                trial.version = version;
                trial.judge.judgement()
            }
            (None, Some(old)) => {
                let judge = Judge::begin();
                let judgement = judge.judgement();
                self.trial = Some(Trial { version, old, from: None, judge });
                judgement
            }
            (None, None) => Judge::begin().taken(),
        };
        self.warned = Warned::default();
        self.trouble = None;
        self.postponed = false;
        self.events().rotated(cause, &info);
        Outcome::Rotated(judgement)
    }

    /// The one that was in place before the trial is in place again.
    fn put_back(&mut self, old: Credential) {
        self.slot.publish(Some(old.clone()), false);
        self.current = Some(old);
        self.warned = Warned::default();
        self.postponed = false;
    }

    fn refused(&mut self, cause: Cause, why: String) -> Outcome {
        self.events().refused(cause, &why);
        self.postponed = false;
        self.trouble = Some(why.clone());
        Outcome::Refused(why)
    }

    /// A shard has found out about a version.
    fn ended(&mut self, version: u64, ended: Ended) {
        let ours = self.trial.take_if(|trial| trial.version == version);
        match (ended, ours) {
            (Ended::Taken, Some(trial)) => {
                self.events().taken();
                trial.judge.taken();
            }
            (Ended::Refused(why), Some(Trial { old, from, judge, .. })) => {
                self.put_back(old);
                if let Some(from) = from {
                    self.look_at(from);
                }
                self.events().reverted(&why);
                let why = format!("the new one was given back: {why}");
                self.trouble = Some(why.clone());
                judge.given_back(why);
            }
            // One shard's push was taken, another's refused: from here on a refusal is a verdict for every shard.
            (Ended::Refused(_), None) => {
                let version = self.slot.publish(self.current.clone(), self.trial.is_some());
                if let Some(trial) = &mut self.trial {
                    trial.version = version;
                }
            }
            (Ended::Taken, None) => {}
        }
    }

    fn warn(&mut self) {
        let not_after = self.current.as_ref().and_then(|current| current.info().not_after);
        self.metrics.credential_expires(&self.setup.pool, not_after);
        let now = SystemTime::now();
        if let Some(end) = not_after
            && let Some(stage) = self.warned.due(end, now)
        {
            self.events().expiring(stage, end, now);
        }
    }

    fn show(&self) {
        let info = self.current.as_ref().map(Credential::info);
        let view = CredentialView::new(info, self.trial.is_some(), self.trouble.clone(), SystemTime::now());
        self.shown.send_replace(view);
    }
}
