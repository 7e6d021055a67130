//! What `skein queue` and `skein sender` have in common: the fleet as ZooKeeper and a monitor say it, and wishes.

mod rehearsal;
mod table;
mod wish;

pub use rehearsal::rehearse;
pub use table::{Cells, follow, or_dash, span};
pub use wish::{Goal, Kept, fulfil, keep_out, owns_nothing};

use std::time::Duration;

use hyper::Method;
use skein_backends::zookeeper::ZooKeeperFleet;
use skein_config::{Config, Engine};
use skein_core::fleet::{Because, MemberId, Wanted, Wish};
use skein_core::seam::{CoordinatorError, FleetStore as _, FleetView};
use skein_core::{PoolName, QueueName};
use skein_health_monitor::api;

use crate::args::{MonitorAt, Reason, Remark};
use crate::exit::Failure;
use crate::{pages_client, wiring};

/// Longest wait for a monitor's figures: without them the rest is shown all the same.
const FIGURES_LIMIT: Duration = Duration::from_secs(2);

/// The fleet, reached from a command.
pub struct Access {
    store: ZooKeeperFleet,
    servers: String,
    monitor: String,
}

/// The fleet at one moment.
pub struct Seen {
    /// What ZooKeeper holds.
    pub view: FleetView,
    /// What a monitor adds; or why there is nothing of it.
    pub figures: Result<Box<api::Fleet>, String>,
}

impl Access {
    /// Begins to connect. Must be called within a runtime.
    ///
    /// # Errors
    /// When the configuration names no ZooKeeper.
    pub fn begin(config: &Config, monitor: &MonitorAt) -> Result<Self, Failure> {
        if config.engine != Engine::Cluster {
            let why = "with engine = \"embedded\" one process owns every queue: there is no fleet; name the cluster's configuration with -c";
            return Err(Failure::Usage(why.to_owned()));
        }
        let options = wiring::zookeeper::options(config)?.ok_or_else(|| {
            Failure::Usage("coordinator.servers is not set: without ZooKeeper each sender keeps the queues of its own configuration; set it to the servers that the senders use".to_owned())
        })?;
        Ok(Self {
            servers: options.servers.join(", "),
            store: ZooKeeperFleet::connect(options, operator()),
            monitor: monitor.monitor.clone().unwrap_or_else(|| format!("http://{}", config.monitor.listen)),
        })
    }

    /// The fleet, now, as ZooKeeper holds it.
    ///
    /// # Errors
    /// When ZooKeeper is away or refuses.
    pub async fn view(&self) -> Result<FleetView, Failure> {
        self.store.read().await.map_err(|error| self.failure(&error))
    }

    /// The fleet, now, with a monitor's figures if it answers.
    ///
    /// # Errors
    /// As [`Access::view`].
    pub async fn see(&self) -> Result<Seen, Failure> {
        let (view, figures) = tokio::join!(self.view(), self.figures());
        Ok(Seen { view: view?, figures })
    }

    /// What a monitor says.
    pub async fn figures(&self) -> Result<Box<api::Fleet>, String> {
        let asked = pages_client::ask(&self.monitor, Method::GET, "/v1/fleet");
        let at = &self.monitor;
        let unknown = "depth, age and rates are not known; name a monitor with --monitor URL";
        match tokio::time::timeout(FIGURES_LIMIT, asked).await {
            Ok(Ok((200, value))) => serde_json::from_value(value)
                .map(Box::new)
                .map_err(|error| format!("{at} is no monitor of this version ({error}): {unknown}")),
            Ok(Ok((status, _))) => Err(format!("{at} is no monitor (it answers {status}): {unknown}")),
            Ok(Err(_)) | Err(_) => Err(format!("no monitor answers at {at}: {unknown}")),
        }
    }

    fn failure(&self, error: &CoordinatorError) -> Failure {
        match error {
            CoordinatorError::Away(why) => Failure::Away(format!(
                "ZooKeeper does not answer at {} ({why}); sending goes on without it, but nothing can be seen or moved",
                self.servers
            )),
            CoordinatorError::Refused(why) => Failure::Usage(format!(
                "ZooKeeper refuses ({why}); check coordinator.chroot, coordinator.username and its password"
            )),
            CoordinatorError::Overtaken(why) => Failure::Away(why.clone()),
        }
    }
}

impl Seen {
    /// What a monitor says of a queue.
    pub fn figure(&self, queue: &QueueName) -> Option<&api::Queue> {
        self.figures.as_ref().ok()?.queues.iter().find(|q| q.queue == *queue)
    }

    /// What a person must look at, by a monitor's word.
    pub fn alarms(&self) -> impl Iterator<Item = String> {
        self.figures.iter().flat_map(|fleet| &fleet.alarms).map(|alarm| format!("! {}", alarm.why))
    }

    /// What a monitor says of a sender.
    pub fn sender(&self, member: &MemberId) -> Option<&api::Sender> {
        self.figures.as_ref().ok()?.senders.iter().find(|s| s.member == *member)
    }
}

/// Refuses a queue that nobody knows.
pub fn known_queue(view: &FleetView, queue: &QueueName) -> Result<(), Failure> {
    if view.queues.iter().any(|q| q.assignment.queue == *queue) {
        return Ok(());
    }
    let of_pool = view.queues.iter().filter(|q| q.assignment.queue.pool == queue.pool).count();
    let why = if of_pool == 0 { no_pool(view, &queue.pool) } else { format!("its pool has {of_pool}") };
    Err(Failure::Usage(format!("there is no queue {queue}: {why}; see `skein queue list`")))
}

/// Why a pool is not known, with those that are.
pub fn no_pool(view: &FleetView, pool: &PoolName) -> String {
    let mut pools: Vec<&str> = view.queues.iter().map(|q| q.assignment.queue.pool.as_str()).collect();
    pools.dedup();
    match pools.as_slice() {
        [] => "no queue is known yet; a monitor makes them when it runs first".to_owned(),
        known => format!("there is no pool {pool}, but {}", known.join(", ")),
    }
}

/// Refuses a sender that nobody knows: neither there, nor the owner of a queue.
pub fn known_member(view: &FleetView, member: &MemberId) -> Result<(), Failure> {
    let owns = |q: &skein_core::seam::StoredQueue| {
        q.assignment.owner.as_ref().is_some_and(|owner| owner.member == *member)
    };
    if view.members.iter().any(|m| m.id == *member) || view.queues.iter().any(owns) {
        return Ok(());
    }
    let there: Vec<&str> = view.members.iter().map(|m| m.id.as_str()).collect();
    let there = if there.is_empty() { "nobody".to_owned() } else { there.join(", ") };
    Err(Failure::Usage(format!("there is no sender {member} in the fleet; there is {there}")))
}

/// Whose decision it is, and why.
pub fn because(reason: &Reason) -> Because {
    Because { by: reason.author.clone().unwrap_or_else(operator), reason: reason.reason.clone() }
}

/// The same, where a reason need not be given.
pub fn remark(remark: &Remark) -> Because {
    let by = remark.author.clone().unwrap_or_else(operator);
    Because { by, reason: remark.reason.clone().unwrap_or_default() }
}

/// The wish that stands, if there is one.
pub fn standing<'a>(view: &'a FleetView, wanted: &Wanted) -> Option<&'a Wish> {
    view.wishes.iter().rev().find(|wish| wish.wanted == *wanted)
}

/// Who wishes: the user and the host.
pub fn operator() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user = user.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let uid = rustix::process::getuid().as_raw();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_of(uid, &users).map_or_else(|| format!("uid {uid}"), str::to_owned)
    });
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// A user's name, by a text such as `/etc/passwd`: containers set no variable that says it.
fn name_of(uid: u32, users: &str) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_has_a_name_where_no_variable_says_it() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\nskein:x:1000:1000::/:/sbin/nologin\n";
        assert_eq!((name_of(0, users), name_of(1000, users)), (Some("root"), Some("skein")));
        assert_eq!((name_of(65_532, users), name_of(0, "")), (None, None));
    }
}
