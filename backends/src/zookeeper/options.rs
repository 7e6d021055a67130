//! How ZooKeeper is reached, and whose the nodes are.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;
use zookeeper_client::Acls;

use super::tls::Tls;

/// How ZooKeeper is reached.
#[derive(Debug, Clone)]
pub struct ZooKeeperOptions {
    /// `host` or `host:port` each; tried in turn.
    pub servers: Vec<String>,
    /// The absolute path below which everything of this cluster is kept, such as `/skein`.
    pub chroot: String,
    /// Silence after which ZooKeeper declares a process gone. The servers bound it (by default 2 to 20 of their ticks).
    pub session_timeout: Duration,
    /// `tickTime` of the servers: sessions end up to one tick early or late.
    pub server_tick: Duration,
    /// First and longest pause before connecting again.
    pub backoff: (Duration, Duration),
    /// The user whose nodes they are. Without one, anybody who reaches ZooKeeper may change them.
    pub login: Option<Login>,
    /// TLS with the servers, which must then name a port that speaks it. Without it the login crosses the wire as it is.
    pub tls: Option<Tls>,
}

impl ZooKeeperOptions {
    /// The defaults of the configuration for these servers, with this chroot.
    pub fn new(servers: Vec<String>, chroot: impl Into<String>) -> Self {
        Self {
            servers,
            chroot: chroot.into(),
            session_timeout: Duration::from_secs(4),
            server_tick: Duration::from_secs(2),
            backoff: (Duration::from_millis(100), Duration::from_secs(2)),
            login: None,
            tls: None,
        }
    }

    /// The right to every node that is made: its maker's alone, or anybody's where there is no login.
    pub(super) fn acls(&self) -> Acls<'static> {
        if self.login.is_some() { Acls::creator_all() } else { Acls::anyone_all() }
    }

    /// How long an answer may take: as long as the driver waits before it gives a silent connection up, so that static mode is
    /// known before the session can be over.
    pub(super) fn answer_limit(&self) -> Duration {
        self.session_timeout * 2 / 5
    }

    /// How much earlier than ZooKeeper this side calls a session over: ZooKeeper counts in ticks, a follower tells its leader of
    /// a living session half a tick late, and the answer that proves the session took its time.
    pub(super) fn lease_margin(&self, session_timeout: Duration) -> Duration {
        (self.server_tick + session_timeout / 8).max(Duration::from_millis(500))
    }
}

/// A user of ZooKeeper's scheme `digest`. `Debug` shows the name alone.
#[derive(Clone)]
pub struct Login {
    user: String,
    password: Zeroizing<String>,
}

impl Login {
    /// A user and its password.
    pub fn new(user: impl Into<String>, password: &str) -> Self {
        Self { user: user.into(), password: Zeroizing::new(password.to_owned()) }
    }

    pub(super) fn credentials(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([self.user.as_bytes(), b":", self.password.as_bytes()].concat())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P9: secrets stay inside.
    #[test]
    fn debug_shows_no_password() {
        let login = Some(Login::new("skein", "hunter2"));
        let options = ZooKeeperOptions { login, ..ZooKeeperOptions::new(vec!["zk".into()], "/skein") };
        let shown = format!("{options:?}");
        assert!(shown.contains("skein") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn the_margin_allows_for_the_servers_ticks() {
        let mut options = ZooKeeperOptions::new(Vec::new(), "/skein");
        assert_eq!(options.lease_margin(Duration::from_secs(4)), Duration::from_millis(2500));
        options.server_tick = Duration::from_millis(100);
        assert_eq!(options.lease_margin(Duration::from_secs(2)), Duration::from_millis(500));
    }
}
