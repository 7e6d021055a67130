//! The probe of the broker's users. Names of things that are not there stand for those that are: a right is a pattern of names, and
//! RabbitMQ looks at the right first. 403 is a refusal; 404 and 405 say that the right is there.

use std::time::Duration;

use hyper::Method;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, ErrorKind, ExchangeKind};
use skein_backends::rabbitmq::{DEAD_QUEUE, FACTS_QUEUE};
use skein_producer::LinkOptions;
use skein_producer::link::{Link, LinkError};

use super::{Finding, Must, Said, finding};
use crate::ProvisionError;
use crate::broker::ManagementAddress;
use crate::broker::api::Api;
use crate::credentials::Credentials;
use crate::role::{Cluster, EVENTS, Role};
use crate::step::Service::RabbitMq;

/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// A queue's number that no pool has: there are at most 1,024.
const NO_QUEUE: u32 = 99_999;

/// One attempt on a channel of its own.
#[derive(Debug, Clone)]
enum Attempt {
    DeclareQueue(String),
    DeleteQueue(String),
    DeclareExchange(String),
    DeleteExchange(String),
    Bind {
        queue: String,
        exchange: String,
        key: String,
    },
    Publish {
        exchange: String,
    },
    Get(String),
    Purge(String),
    /// A queue named by the broker, bound to its events by this key.
    Hear(&'static str),
}

/// Lets each role of the broker try. `link` is anybody's to the cluster's virtual host.
///
/// # Errors
/// [`ProvisionError::Away`]; [`ProvisionError::Refused`] where a user or its password is missing: then nothing is proved.
pub async fn probe_broker(
    cluster: &Cluster,
    credentials: &Credentials,
    link: &LinkOptions,
    management: &ManagementAddress,
) -> Result<Vec<Finding>, ProvisionError> {
    let mut findings = Vec::new();
    for role in cluster.roles_at(RabbitMq) {
        let user = role.user(&cluster.prefix);
        let password = super::ledger::password(credentials, RabbitMq, &user)?;
        let own = role.permission(cluster).map(|permission| permission.vhost);
        let vhosts =
            [("its virtual host", &cluster.vhost), ("the events' virtual host", &cluster.events_vhost)];
        for (words, vhost) in vhosts {
            if own.as_ref() == Some(vhost) {
                continue;
            }
            let words = if own.is_none() { "the virtual host" } else { words };
            let link = as_user(link, &user, &password, vhost);
            let said = match Link::connect(&link, 0).await {
                Ok(_) => Said::Done,
                Err(LinkError::Refused(why)) => Said::Refused(why),
                Err(LinkError::Away(why)) => return Err(ProvisionError::away(RabbitMq, why)),
            };
            findings.push(finding(RabbitMq, &user, format!("enter {words} {vhost}"), Must::Refuse, said));
        }
        if let Some(vhost) = &own {
            findings.extend(
                probe_broker_as(&role, &user, cluster, &as_user(link, &user, &password, vhost)).await?,
            );
        }
        if role != Role::MonitorApi {
            let api = Api::new(management.clone(), &user, &password);
            let status = api.ask(Method::GET, "users", None).await?.status;
            let said = match status {
                401 | 403 => Said::Refused(String::new()),
                200 => Said::Done,
                other => Said::Other(format!("status {other}")),
            };
            findings.push(finding(RabbitMq, &user, "use the management API".into(), Must::Refuse, said));
        }
    }
    Ok(findings)
}

/// Lets one role try, by the login and the virtual host of `link`; `user` is its name in what is found.
///
/// # Errors
/// As [`probe_broker`].
pub async fn probe_broker_as(
    role: &Role,
    user: &str,
    cluster: &Cluster,
    link: &LinkOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    let link = Link::connect(link, 0).await.map_err(|error| match error {
        LinkError::Away(why) => ProvisionError::away(RabbitMq, why),
        LinkError::Refused(why) => {
            ProvisionError::refused(RabbitMq, format!("{user}: {why}; run `skein cluster init`"))
        }
    })?;
    let mut findings = Vec::new();
    for (must, attempt) in attempts(role, cluster) {
        let said = tokio::time::timeout(ANSWER_LIMIT, attempt.on(&link)).await;
        let said = said.unwrap_or_else(|_| Said::Other(format!("no answer in {ANSWER_LIMIT:?}")));
        findings.push(finding(RabbitMq, user, attempt.words(), must, said));
    }
    Ok(findings)
}

fn as_user(link: &LinkOptions, user: &str, password: &str, vhost: &str) -> LinkOptions {
    let brokers = link.brokers.iter().map(|broker| broker.with_login(user, password).with_vhost(vhost));
    LinkOptions { brokers: brokers.collect(), name: "skein-probe".to_owned(), ..link.clone() }
}

fn attempts(role: &Role, cluster: &Cluster) -> Vec<(Must, Attempt)> {
    use Attempt::{
        Bind, DeclareExchange, DeclareQueue, DeleteExchange, DeleteQueue, Get, Hear, Publish, Purge,
    };
    use Must::{Allow, Refuse};
    let other = "skein.zz-probe".to_owned();
    let mut all = vec![
        (Refuse, DeclareQueue(other.clone())),
        (Refuse, DeclareExchange(other.clone())),
        (Refuse, DeleteExchange(other.clone())),
        (Refuse, Publish { exchange: String::new() }),
        (Refuse, Get(DEAD_QUEUE.into())),
        // Another kind of queue than is there: where the right is, it is refused for that.
        (Refuse, DeclareQueue(FACTS_QUEUE.into())),
        (Refuse, Bind { queue: DEAD_QUEUE.into(), exchange: EVENTS.into(), key: "user.#".into() }),
    ];
    let pools = cluster.pools.iter().map(|pool| pool.name.exchange());
    match role {
        Role::Sender(_) => {
            all.push((Allow, Get(FACTS_QUEUE.into())));
            for exchange in pools {
                let queue = format!("{exchange}.q{NO_QUEUE}");
                all.extend([
                    (Refuse, Publish { exchange: exchange.clone() }),
                    (Refuse, DeleteQueue(queue.clone())),
                    (Refuse, DeclareQueue(queue.clone())),
                    (Refuse, Bind { queue: queue.clone(), exchange, key: "0".into() }),
                    (Allow, Get(queue)),
                ]);
            }
        }
        Role::Gateway | Role::Producer(_) => {
            for queue in [DEAD_QUEUE, FACTS_QUEUE] {
                all.push((Refuse, Publish { exchange: queue.into() }));
            }
            all.push((Refuse, Get(FACTS_QUEUE.into())));
            for exchange in pools {
                let queue = format!("{exchange}.q{NO_QUEUE}");
                all.extend([
                    (Refuse, Get(queue.clone())),
                    (Refuse, Purge(queue.clone())),
                    (Refuse, DeleteQueue(queue)),
                    (Allow, Publish { exchange }),
                ]);
            }
        }
        Role::Monitor => {
            all.extend([
                (Refuse, Get(FACTS_QUEUE.into())),
                (Refuse, Publish { exchange: EVENTS.into() }),
                (Allow, Hear("connection.closed")),
                (Refuse, Hear("user.#")),
            ]);
            for exchange in pools {
                all.push((Refuse, Get(format!("{exchange}.q{NO_QUEUE}"))));
                all.push((Refuse, Publish { exchange }));
            }
        }
        Role::MonitorApi | Role::Operator | Role::Support => {}
    }
    all
}

impl Attempt {
    fn words(&self) -> String {
        match self {
            Self::DeclareQueue(queue) => format!("declare queue {queue}"),
            Self::DeleteQueue(queue) => format!("delete queue {queue}"),
            Self::DeclareExchange(exchange) => format!("declare exchange {exchange}"),
            Self::DeleteExchange(exchange) => format!("delete exchange {exchange}"),
            Self::Bind { queue, exchange, key } => format!("bind queue {queue} to {exchange} by {key}"),
            Self::Publish { exchange } if exchange.is_empty() => {
                "publish to any queue by its name".to_owned()
            }
            Self::Publish { exchange } => format!("publish to exchange {exchange}"),
            Self::Get(queue) => format!("read queue {queue}"),
            Self::Purge(queue) => format!("purge queue {queue}"),
            Self::Hear(key) => format!("hear the broker's events {key}"),
        }
    }

    async fn on(&self, link: &Link) -> Said {
        let done = match link.connection().create_channel().await {
            Ok(channel) => self.over(&channel).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => Said::Done,
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(said) if said.get_id() == 403 => Said::Refused(said.to_string()),
                // The right was looked at before: there is no such thing, or it is a queue that is not read so.
                ErrorKind::ProtocolError(said) if matches!(said.get_id(), 404..=406) => Said::Done,
                _ => Said::Other(error.to_string()),
            },
        }
    }

    async fn over(&self, channel: &Channel) -> lapin::Result<()> {
        let table = FieldTable::default;
        match self {
            // What it makes goes with this connection.
            Self::DeclareQueue(queue) => {
                let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
                channel.queue_declare(queue.as_str().into(), options, table()).await.map(drop)
            }
            Self::DeleteQueue(queue) => {
                channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.map(drop)
            }
            Self::DeclareExchange(exchange) => {
                let options =
                    ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
                channel
                    .exchange_declare(exchange.as_str().into(), ExchangeKind::Direct, options, table())
                    .await?;
                channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await
            }
            Self::DeleteExchange(exchange) => {
                channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await
            }
            Self::Bind { queue, exchange, key } => {
                let (queue, exchange, key) =
                    (queue.as_str().into(), exchange.as_str().into(), key.as_str().into());
                channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), table()).await
            }
            Self::Publish { exchange } => {
                channel.confirm_select(ConfirmSelectOptions::default()).await?;
                // No slot's key; and where none is asked for, it expires at once.
                let properties = BasicProperties::default().with_expiration("0".into());
                let options = BasicPublishOptions::default();
                let sent = channel.basic_publish(
                    exchange.as_str().into(),
                    "zz-probe".into(),
                    options,
                    b"",
                    properties,
                );
                sent.await?.await.map(drop)
            }
            Self::Get(queue) => {
                channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.map(drop)
            }
            Self::Purge(queue) => {
                channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await.map(drop)
            }
            Self::Hear(key) => {
                let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
                let queue = channel.queue_declare("".into(), options, table()).await?;
                let name = queue.name().clone();
                channel
                    .queue_bind(name, EVENTS.into(), (*key).into(), QueueBindOptions::default(), table())
                    .await
            }
        }
    }
}
