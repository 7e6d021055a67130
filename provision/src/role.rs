//! Who there is in a cluster, and what each may do on the broker.

use skein_backends::rabbitmq::{DEAD_QUEUE, FACTS_QUEUE, FEEDBACK_EXCHANGE};
use skein_backends::zookeeper::ZooKeeperRole;
use skein_core::PoolName;
use skein_core::fleet::MemberId;

use crate::step::Service;

/// A pool with its queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// How many queues it has.
    pub queues: u16,
    /// Each queue's prefetch, written where a queue is new.
    pub prefetch: u16,
}

/// What a cluster consists of, from its configuration and the command's arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// How every name of a user begins, such as `skein`.
    pub prefix: String,
    /// The broker's virtual host.
    pub vhost: String,
    /// The virtual host of `amq.rabbitmq.event`.
    pub events_vhost: String,
    /// The size at which a queue refuses publications, in bytes.
    pub queue_bytes_max: u64,
    /// The pools.
    pub pools: Vec<Pool>,
    /// The senders' member ids: one broker user each.
    pub senders: Vec<MemberId>,
    /// Backends that publish by AMQP: one broker user each.
    pub producers: Vec<String>,
    /// The database's schema.
    pub schema: String,
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// One sender.
    Sender(MemberId),
    /// The monitors, where they hear events and plan.
    Monitor,
    /// The monitors at the broker's management API: figures, and closing a frozen sender's connections.
    MonitorApi,
    /// The gateways.
    Gateway,
    /// One backend that publishes by AMQP.
    Producer(String),
    /// `skein queue …` and `skein sender …`.
    Operator,
    /// Who answers what became of a notification.
    Support,
}

/// What a user may do in one virtual host: regular expressions over names, an empty one for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// The virtual host.
    pub vhost: String,
    /// What it may declare and delete.
    pub configure: String,
    /// What it may publish to, and bind.
    pub write: String,
    /// What it may consume from, and bind to.
    pub read: String,
}

/// What a user may do at a topic exchange, by routing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPermission {
    /// The virtual host.
    pub vhost: String,
    /// The exchange.
    pub exchange: String,
    /// Keys it may publish with.
    pub write: String,
    /// Keys it may bind with.
    pub read: String,
}

/// What nothing matches.
const NOTHING: &str = "^$";
/// The broker's exchange of its own events.
pub const EVENTS: &str = "amq.rabbitmq.event";

impl Role {
    /// The word in tables: the role, without which one of its kind.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Sender(_) => "sender",
            Self::Monitor => "monitor",
            Self::MonitorApi => "monitor-api",
            Self::Gateway => "gateway",
            Self::Producer(_) => "producer",
            Self::Operator => "operator",
            Self::Support => "support",
        }
    }

    /// The user's name, below a cluster's prefix.
    pub fn user(&self, prefix: &str) -> String {
        match self {
            Self::Sender(member) => format!("{prefix}-sender-{member}"),
            Self::Producer(name) => format!("{prefix}-producer-{name}"),
            other => format!("{prefix}-{}", other.label()),
        }
    }

    /// Where it has a user.
    pub const fn services(&self) -> &'static [Service] {
        match self {
            Self::Sender(_) | Self::Gateway => &[Service::RabbitMq, Service::PostgreSql],
            Self::Monitor | Self::MonitorApi | Self::Producer(_) => &[Service::RabbitMq],
            Self::Operator => &[],
            Self::Support => &[Service::PostgreSql],
        }
    }

    /// The tags on the broker: what the management API grants. Only an administrator may close another user's connection.
    pub const fn tags(&self) -> &'static str {
        match self {
            Self::MonitorApi => "administrator",
            _ => "",
        }
    }

    /// What it may do on the broker.
    pub fn permission(&self, cluster: &Cluster) -> Option<Permission> {
        let nothing = || NOTHING.to_owned();
        let (vhost, [configure, write, read]) = match self {
            Self::Sender(_) => {
                let write = any(&[DEAD_QUEUE, FACTS_QUEUE, FEEDBACK_EXCHANGE]);
                let read = format!("^(skein\\.({})\\.q[0-9]+|{})$", pools(cluster), escaped(FACTS_QUEUE));
                (&cluster.vhost, [nothing(), write, read])
            }
            Self::Gateway | Self::Producer(_) => {
                (&cluster.vhost, [nothing(), format!("^skein\\.({})$", pools(cluster)), nothing()])
            }
            // A queue of its own, named by the broker, bound to the events.
            Self::Monitor => {
                let own = "^amq\\.gen-.*$".to_owned();
                let read = format!("^(amq\\.gen-.*|{})$", escaped(EVENTS));
                (&cluster.events_vhost, [own.clone(), own, read])
            }
            Self::MonitorApi | Self::Operator | Self::Support => return None,
        };
        Some(Permission { vhost: vhost.clone(), configure, write, read })
    }

    /// What it may do at topic exchanges.
    pub fn topic_permission(&self, cluster: &Cluster) -> Option<TopicPermission> {
        let (vhost, exchange, write, read) = match self {
            // Events of users and rights tell more than of connections.
            Self::Monitor => (&cluster.events_vhost, EVENTS, NOTHING, "^connection\\.(created|closed)$"),
            Self::Sender(_) => (&cluster.vhost, FEEDBACK_EXCHANGE, ".*", NOTHING),
            _ => return None,
        };
        Some(TopicPermission {
            vhost: vhost.clone(),
            exchange: exchange.to_owned(),
            write: write.to_owned(),
            read: read.to_owned(),
        })
    }

    /// Its user at ZooKeeper: one a role, since rights there are of nodes that all of a role share.
    pub const fn at_zookeeper(&self) -> Option<ZooKeeperRole> {
        match self {
            Self::Sender(_) => Some(ZooKeeperRole::Sender),
            Self::Monitor => Some(ZooKeeperRole::Monitor),
            Self::Operator => Some(ZooKeeperRole::Operator),
            Self::Gateway => Some(ZooKeeperRole::Gateway),
            _ => None,
        }
    }
}

impl Cluster {
    /// Everybody who connects.
    pub fn roles(&self) -> Vec<Role> {
        let senders = self.senders.iter().cloned().map(Role::Sender);
        let producers = self.producers.iter().cloned().map(Role::Producer);
        let single = [Role::Monitor, Role::MonitorApi, Role::Gateway, Role::Operator, Role::Support];
        senders.chain(producers).chain(single).collect()
    }

    /// Those with a user at a service.
    pub fn roles_at(&self, service: Service) -> Vec<Role> {
        self.roles().into_iter().filter(|role| role.services().contains(&service)).collect()
    }

    /// The name of a role's user at ZooKeeper.
    pub fn zookeeper_user(&self, role: ZooKeeperRole) -> String {
        format!("{}-{}", self.prefix, role.label())
    }
}

fn pools(cluster: &Cluster) -> String {
    let names: Vec<&str> = cluster.pools.iter().map(|pool| pool.name.as_str()).collect();
    // A pool's name has letters, digits and hyphens: nothing to escape.
    if names.is_empty() { "-".to_owned() } else { names.join("|") }
}

fn any(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
    format!("^({})$", names.join("|"))
}

fn escaped(name: &str) -> String {
    name.replace('.', "\\.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let pool =
            |name: &str| Pool { name: PoolName::parse(name).expect("a name"), queues: 4, prefetch: 100 };
        Cluster {
            prefix: "skein".into(),
            vhost: "im".into(),
            events_vhost: "/".into(),
            queue_bytes_max: 1,
            pools: vec![pool("enterprise"), pool("dev")],
            senders: vec![MemberId::parse("s1").expect("a member")],
            producers: vec!["chat".into()],
            schema: "skein".into(),
        }
    }

    #[test]
    fn a_sender_declares_nothing_and_forges_nothing() {
        let role = cluster().roles().remove(0);
        assert_eq!(role.user("skein"), "skein-sender-s1");
        let permission = role.permission(&cluster()).expect("a permission");
        assert_eq!(permission.configure, "^$");
        assert_eq!(permission.write, r"^(skein\.dead|skein\.facts|skein\.feedback)$");
        assert_eq!(permission.read, r"^(skein\.(enterprise|dev)\.q[0-9]+|skein\.facts)$");
    }

    #[test]
    fn only_the_monitor_is_an_administrator_and_only_at_the_management_api() {
        for role in cluster().roles() {
            assert_eq!(!role.tags().is_empty(), role == Role::MonitorApi, "{role:?}");
            let at_broker = role.services().contains(&Service::RabbitMq);
            assert_eq!(role.permission(&cluster()).is_some(), at_broker && role != Role::MonitorApi);
        }
    }

    #[test]
    fn names_are_each_somebodys() {
        let mut names: Vec<String> = cluster().roles().iter().map(|role| role.user("skein")).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
