//! RabbitMQ: virtual host, users, permissions, a policy, exchanges, queues and bindings; compared over the management API, and
//! declared by the one declaration that there is ([`Topology`]).

use serde_json::json;
use skein_backends::rabbitmq::{Topology, declare_shared};
use skein_core::seam::BrokerError;
use skein_producer::LinkOptions;

use crate::ProvisionError;
use crate::credentials::Credentials;
use crate::role::{Cluster, Role};
use crate::step::Service::RabbitMq;
use crate::step::{Kind, Step};

pub(crate) mod api;
mod server;
mod topology;
mod users;

pub use api::ManagementAddress;
use api::{Api, encoded};
pub use server::BrokerServer;

/// The policy by which new queues get their leaders on all nodes, not all on the one that declares them.
const LEADERS: &str = "skein-leaders";

/// The broker, reached as its administrator.
pub struct BrokerAdmin {
    api: Api,
    link: LinkOptions,
    user: String,
}

/// How a step is done.
#[derive(Debug, Clone)]
pub enum BrokerDeed {
    /// Something of the management API; the body has no secret in the clear.
    Put(String, serde_json::Value),
    /// Takes something away.
    Delete(String),
    /// A user, with a password that is made now if it has none.
    User(Role),
    /// The queues that all pools share.
    Shared,
    /// One pool's exchange, queues and bindings.
    Pool(usize),
    /// Nothing: an operator must.
    Nothing,
}

impl BrokerAdmin {
    /// `link` logs in to the cluster's virtual host; `login` is the administrator's at the management API.
    pub fn new(address: ManagementAddress, login: (&str, &str), link: LinkOptions) -> Self {
        Self { api: Api::new(address, login.0, login.1), link, user: login.0.to_owned() }
    }

    /// Compares what is there with what must be. Changes nothing.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn look(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
    ) -> Result<Vec<(Step, BrokerDeed)>, ProvisionError> {
        let mut steps = self.vhost(cluster).await?;
        let fresh = !steps.is_empty();
        steps.extend(users::look(&self.api, cluster, credentials).await?);
        steps.extend(self.policy(cluster).await?);
        steps.extend(topology::look(&self.api, cluster, fresh).await?);
        Ok(steps)
    }

    /// Does one step. Idempotent.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn apply(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
        deed: &BrokerDeed,
    ) -> Result<(), ProvisionError> {
        match deed {
            BrokerDeed::Put(path, value) => self.api.put(path, value).await,
            BrokerDeed::Delete(path) => self.api.delete(path).await,
            BrokerDeed::User(role) => users::make(&self.api, cluster, credentials, role).await,
            BrokerDeed::Shared => {
                declare_shared(&self.link, cluster.queue_bytes_max).await.map_err(broker_error)
            }
            BrokerDeed::Pool(number) => {
                let Some(pool) = cluster.pools.get(*number) else { return Ok(()) };
                let topology = Topology {
                    pool: pool.name.clone(),
                    queues: pool.queues,
                    max_length_bytes: cluster.queue_bytes_max,
                };
                topology.declare(&self.link).await.map_err(broker_error)
            }
            BrokerDeed::Nothing => Ok(()),
        }
    }

    async fn vhost(&self, cluster: &Cluster) -> Result<Vec<(Step, BrokerDeed)>, ProvisionError> {
        let path = format!("vhosts/{}", encoded(&cluster.vhost));
        if self.api.get::<serde_json::Value>(&path).await?.is_some() {
            return Ok(Vec::new());
        }
        // Who makes a virtual host over the API has no right in it yet, and declares over AMQP.
        let own = format!("permissions/{}/{}", encoded(&cluster.vhost), encoded(&self.user));
        let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
        let make = |what: String| step(Kind::Make, what, "");
        Ok(vec![
            (make(format!("virtual host {}", cluster.vhost)), BrokerDeed::Put(path, json!({}))),
            (make(format!("the administrator's right to {}", cluster.vhost)), BrokerDeed::Put(own, all)),
        ])
    }

    async fn policy(&self, cluster: &Cluster) -> Result<Option<(Step, BrokerDeed)>, ProvisionError> {
        let path = format!("policies/{}/{LEADERS}", encoded(&cluster.vhost));
        let wanted = json!({
            "pattern": "^skein\\.", "definition": {"queue-leader-locator": "balanced"}, "apply-to": "queues", "priority": 0
        });
        let found: Option<serde_json::Value> = self.api.get(&path).await?;
        let same = |found: &serde_json::Value| {
            ["pattern", "definition", "apply-to", "priority"].iter().all(|key| found[key] == wanted[key])
        };
        let kind = match &found {
            Some(found) if same(found) => return Ok(None),
            Some(_) => Kind::Change,
            None => Kind::Make,
        };
        let what = format!("policy {LEADERS}");
        Ok(Some((step(kind, what, "leaders of queues on all nodes"), BrokerDeed::Put(path, wanted))))
    }
}

pub(super) fn step(kind: Kind, what: impl Into<String>, detail: impl Into<String>) -> Step {
    Step { service: RabbitMq, kind, what: what.into(), detail: detail.into() }
}

fn broker_error(error: BrokerError) -> ProvisionError {
    match error {
        BrokerError::Away(why) => ProvisionError::away(RabbitMq, why),
        BrokerError::Refused(why) => ProvisionError::refused(RabbitMq, why),
    }
}
