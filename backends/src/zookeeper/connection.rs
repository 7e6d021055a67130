//! The connection to ZooKeeper: a session at a time, a new one when the old is over, with pauses in between.
//!
//! The driver heals a lost connection by itself for as long as its session may live. `Expired`, `AuthFailed` and `Closed` are
//! final for a driver's client: a new one is built here.

use std::sync::Arc;
use std::time::Duration;

use skein_core::Timestamp;
use skein_core::seam::{Clock as _, CoordinatorError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, SessionState};

use super::nodes::from_json;
use super::options::ZooKeeperOptions;
use super::rights::Rights;
use super::tls::unnamed;
use super::tree::RIGHTS;
use crate::clock::SystemClock;

/// What is known of ZooKeeper.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// It answers under this session.
    Up(Session),
    /// It does not answer since then, for this reason.
    Away(Timestamp, String),
    /// It or we refuse to speak, since then, for this reason. It is tried again, and helps only when somebody has mended that.
    Refused(Timestamp, String),
}

/// One session. What is asked of it is bounded in time.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) options: Arc<ZooKeeperOptions>,
    /// The users of the tree, if it has any.
    pub(super) rights: Option<Arc<Rights>>,
}

impl Session {
    /// Waits for an answer, within its bound.
    ///
    /// # Errors
    /// When ZooKeeper is away or does not answer in time: whether it did what was asked is not known. When it refuses.
    pub(super) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, CoordinatorError> {
        self.within(answer).await?.map_err(|error| coordinator_error(&error))
    }

    /// As [`Self::ask`], with the driver's own word where ZooKeeper answered.
    pub(super) async fn within<T>(&self, answer: impl Future<Output = T>) -> Result<T, CoordinatorError> {
        let limit = self.options.answer_limit();
        let late = |_| CoordinatorError::Away(format!("no answer within {limit:?}"));
        tokio::time::timeout(limit, answer).await.map_err(late)
    }

    /// How a node is made: with the rights that the tree has for it; where it has none, its maker's alone if there is a login.
    pub(super) fn creating(&self, path: &str, mode: CreateMode) -> CreateOptions<'_> {
        mode.with_acls(self.acls(path))
    }

    /// A new node's list of rights.
    pub(super) fn acls(&self, path: &str) -> Acls<'_> {
        self.rights.as_ref().map_or_else(|| self.options.acls(), |rights| rights.acls(path))
    }

    /// Learns the users of the tree, if it has any.
    async fn with_rights(mut self) -> Result<Self, CoordinatorError> {
        self.rights = match self.within(self.client.get_data(RIGHTS)).await? {
            Ok((data, _)) => Some(Arc::new(Rights::of(from_json(RIGHTS, &data)?))),
            Err(Error::NoNode) => None,
            Err(error) => return Err(coordinator_error(&error)),
        };
        Ok(self)
    }
}

/// Sorts what the driver says into *away*, where nobody knows what became of a request, and *refused*.
pub(super) fn coordinator_error(error: &Error) -> CoordinatorError {
    match error {
        Error::NoAuth | Error::AuthFailed | Error::InvalidAcl => CoordinatorError::Refused(format!(
            "{error}; check coordinator.username and its password against the owner of the nodes"
        )),
        Error::NoNode => CoordinatorError::Refused(
            "a node is missing; run `skein cluster init`, or check coordinator.chroot".to_owned(),
        ),
        Error::BadVersion | Error::NodeExists | Error::RuntimeInconsistent => {
            CoordinatorError::Overtaken(error.to_string())
        }
        Error::BadArguments(_)
        | Error::QuotaExceeded
        | Error::Unimplemented
        | Error::NotEmpty
        | Error::NoChildrenForEphemerals
        | Error::MarshallingError => CoordinatorError::Refused(error.to_string()),
        _ => CoordinatorError::Away(error.to_string()),
    }
}

/// Keeps a session alive until it is dropped; then the session ends at once, and what is ephemeral with it.
#[derive(Debug)]
pub(super) struct Connection {
    link: watch::Receiver<Link>,
    keeper: JoinHandle<()>,
}

impl Connection {
    /// Begins to connect. Must be called within a runtime.
    pub(super) fn open(options: Arc<ZooKeeperOptions>) -> Self {
        let first = Link::Away(SystemClock.now(), "not connected yet".to_owned());
        let (told, link) = watch::channel(first);
        Self { link, keeper: tokio::spawn(keep(options, told, AsksRights::Yes)) }
    }

    /// The same, for one who need not be able to read who has which rights.
    pub(super) fn open_bare(options: Arc<ZooKeeperOptions>) -> Self {
        let first = Link::Away(SystemClock.now(), "not connected yet".to_owned());
        let (told, link) = watch::channel(first);
        Self { link, keeper: tokio::spawn(keep(options, told, AsksRights::No)) }
    }

    /// What is known, now and at each change.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// The session, if ZooKeeper answers.
    pub(super) fn session(&self) -> Result<Session, CoordinatorError> {
        match &*self.link.borrow() {
            Link::Up(session) => Ok(session.clone()),
            Link::Away(_, why) => Err(CoordinatorError::Away(why.clone())),
            Link::Refused(_, why) => Err(CoordinatorError::Refused(why.clone())),
        }
    }

    /// Waits for a session, or until it is refused. Cancellation safe.
    ///
    /// # Errors
    /// With the reason of the last attempt, when there is none within that time.
    pub(super) async fn connected(&self, limit: Duration) -> Result<Session, CoordinatorError> {
        let mut link = self.link();
        let up = link.wait_for(|link| !matches!(link, Link::Away(..)));
        // Its task ends with this value alone, so there is nothing to tell apart here.
        let _ = tokio::time::timeout(limit, up).await;
        self.session()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum AsksRights {
    Yes,
    No,
}

async fn keep(options: Arc<ZooKeeperOptions>, told: watch::Sender<Link>, asks: AsksRights) {
    let mut backoff = Backoff::new(options.backoff);
    loop {
        let why = match connect(&options).await {
            Ok(client) => {
                let began = tokio::time::Instant::now();
                let session = Session { client, options: Arc::clone(&options), rights: None };
                let known = match asks {
                    AsksRights::Yes => session.with_rights().await,
                    AsksRights::No => Ok(session),
                };
                let why = match known {
                    Ok(session) => Cause::Silence(follow(session, &told).await),
                    Err(error) => Cause::Silence(error.to_string()),
                };
                if began.elapsed() > options.session_timeout {
                    backoff = Backoff::new(options.backoff);
                }
                why
            }
            Err(why) => why,
        };
        away(&told, why);
        tokio::time::sleep(backoff.next()).await;
    }
}

/// Why there is no session.
#[derive(Debug)]
enum Cause {
    /// Nobody answers, or no longer.
    Silence(String),
    /// Whoever answers is refused, or refuses us.
    Refusal(String),
}

async fn connect(options: &ZooKeeperOptions) -> Result<Client, Cause> {
    let mut connector = Client::connector().with_session_timeout(options.session_timeout).with_fail_eagerly();
    if let Some(login) = &options.login {
        connector = connector.with_auth("digest", &login.credentials());
    }
    // Without a path: the nodes above the chroot may not exist yet.
    let servers = options.servers.join(",");
    let connected = match &options.tls {
        None => connector.connect(&servers).await,
        Some(tls) => {
            if let Some(server) = unnamed(&options.servers) {
                let why = format!("{server} is no name that a certificate has; check coordinator.servers");
                return Err(Cause::Refusal(why));
            }
            connector.with_tls(tls.driver.clone()).secure_connect(&servers).await
        }
    };
    let client = match connected {
        Ok(client) => client,
        Err(Error::NoHosts | Error::Timeout | Error::ConnectionLoss) => return Err(no_answer(options).await),
        Err(other) => return Err(Cause::Silence(other.to_string())),
    };
    client
        .chroot(options.chroot.clone())
        .map_err(|_| Cause::Refusal(format!("{} is no path", options.chroot)))
}

/// Why no server took us: the driver says only that none did.
async fn no_answer(options: &ZooKeeperOptions) -> Cause {
    let refusal = match &options.tls {
        Some(tls) => tls.refusal(&options.servers).await,
        None => None,
    };
    let silence = || Cause::Silence(format!("none of {} answers", options.servers.join(", ")));
    refusal.map_or_else(silence, Cause::Refusal)
}

/// Tells of a session's ups and downs until it is over; says why.
async fn follow(session: Session, told: &watch::Sender<Link>) -> String {
    let mut states = session.client.state_watcher();
    let mut state = session.client.state();
    loop {
        match state {
            SessionState::SyncConnected | SessionState::ConnectedReadOnly => {
                told.send_replace(Link::Up(session.clone()));
            }
            SessionState::Disconnected => away(told, Cause::Silence("the connection is lost".to_owned())),
            SessionState::AuthFailed => return "the login is refused".to_owned(),
            SessionState::Expired => return "the session has expired".to_owned(),
            SessionState::Closed => return "the session is closed".to_owned(),
        }
        state = states.changed().await;
    }
}

/// Keeps the time of the first bad news.
fn away(told: &watch::Sender<Link>, cause: Cause) {
    told.send_modify(|link| {
        let since = match link {
            Link::Away(since, _) | Link::Refused(since, _) => *since,
            Link::Up(_) => SystemClock.now(),
        };
        *link = match cause {
            Cause::Silence(why) => Link::Away(since, why),
            Cause::Refusal(why) => Link::Refused(since, why),
        };
    });
}

/// Pauses between attempts: doubled each time, with jitter, between two bounds.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { longest, next: first }
    }

    pub(super) fn next(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        let random = u32::from(uuid::Uuid::new_v4().as_bytes()[15]);
        whole / 2 + whole / 2 * random / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new((first, longest));
        for whole in [100, 200, 350, 350] {
            let whole = Duration::from_millis(whole);
            let pause = backoff.next();
            assert!(whole / 2 <= pause && pause <= whole, "{pause:?} of {whole:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_away() {
        let away = |error| matches!(coordinator_error(&error), CoordinatorError::Away(_));
        assert!(away(Error::ConnectionLoss) && away(Error::Timeout) && away(Error::SessionExpired));
        assert!(!away(Error::NoAuth) && !away(Error::NoNode));
        assert!(matches!(coordinator_error(&Error::BadVersion), CoordinatorError::Overtaken(_)));
    }
}
