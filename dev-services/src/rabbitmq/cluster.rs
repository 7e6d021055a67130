//! Three RabbitMQ nodes as one cluster.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Epmd, RabbitMq, RabbitMqAddress, on_this_host};
use crate::{START_LIMIT, unique, until};

impl RabbitMq {
    /// Starts a cluster of three nodes (about 20 s), each as [`start`](Self::start) makes one, and waits until all have joined
    /// it. Quorum queues that are declared then have a member on each; a minority that is cut off pauses.
    ///
    /// A node's listeners answer before it counts as booted, and a vhost that is made in between never starts there: RabbitMQ tells
    /// booted nodes only, and then waits 45 s for all that run (3.10.8, `rabbit_vhost_sup_sup:start_on_all_nodes`;
    /// rabbitmq-server, pull requests 1556 and 11363). So each must have booted and must know all.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub async fn start_cluster() -> Result<[Self; 3]> {
        let epmd = Arc::new(Epmd::start()?);
        let (names, cookie) = ([(); 3].map(|()| unique("skein")), unique("cookie"));
        let node = |number: usize, known: usize| {
            Self::prepare(Arc::clone(&epmd), &names[number], &cookie, &peers(&names[..known]))
        };
        // The first knows of nobody, so that it does not wait for them; the others join it.
        let mut cluster = [node(0, 1)?, node(1, 3)?, node(2, 3)?];
        let [first, second, third] = &mut cluster;
        first.start_again().await?;
        second.start_again().await?;
        third.start_again().await?;
        for node in &cluster {
            node.ctl(&["await_startup"]).await?;
            let joined = async || (node.running_nodes().await.ok()? == cluster.len()).then_some(());
            until("three nodes of RabbitMQ to be a cluster", START_LIMIT, joined).await?;
        }
        Ok(cluster)
    }

    /// The node's name, as the management API has it.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.name
    }
}

impl RabbitMqAddress {
    /// How many nodes of the cluster run, by this one's word.
    ///
    /// # Errors
    /// When the management API does not answer.
    pub async fn running_nodes(&self) -> Result<usize> {
        let nodes = self.manage("GET", "nodes", None).await?.json()?;
        let nodes = nodes.as_array().context("no list of nodes")?;
        Ok(nodes.iter().filter(|node| node["running"] == Value::Bool(true)).count())
    }

    /// The quorum queues of a vhost.
    ///
    /// # Errors
    /// When the management API does not answer.
    pub async fn quorums(&self, vhost: &str) -> Result<Vec<Quorum>> {
        let queues = self.manage("GET", &format!("queues/{vhost}"), None).await?.json()?;
        let queues = queues.as_array().context("no list of queues")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let queue = |queue: &Value| Quorum {
            queue: text(&queue["name"]),
            leader: text(&queue["leader"]),
            online: queue["online"].as_array().map_or(0, Vec::len),
        };
        Ok(queues.iter().map(queue).collect())
    }
}

/// How a quorum queue stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Its name.
    pub queue: String,
    /// The node that leads it.
    pub leader: String,
    /// How many of its members are there.
    pub online: usize,
}

fn peers(names: &[String]) -> String {
    let nodes = names.iter().enumerate().map(|(number, name)| {
        format!("cluster_formation.classic_config.nodes.{} = {}\n", number + 1, on_this_host(name))
    });
    let head = "cluster_formation.peer_discovery_backend = classic_config\ncluster_partition_handling = pause_minority\n";
    head.to_owned() + &nodes.collect::<String>()
}
