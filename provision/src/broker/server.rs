//! What the broker says of itself: clock, nodes, alarms.

use hyper::Method;
use serde::Deserialize;

use super::BrokerAdmin;
use super::api::refusal;
use crate::ProvisionError;
use crate::step::Service::RabbitMq;

/// What the broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerServer {
    /// Its clock as an HTTP date, to the second.
    pub date: Option<String>,
    /// What is wrong with a node, in words; empty where all are well.
    pub troubles: Vec<String>,
}

#[derive(Deserialize)]
struct NodeRow {
    name: String,
    #[serde(default)]
    running: bool,
    #[serde(default)]
    mem_alarm: bool,
    #[serde(default)]
    disk_free_alarm: bool,
    #[serde(default)]
    partitions: Vec<String>,
}

impl BrokerAdmin {
    /// Asks the broker about itself. Changes nothing.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn server(&self) -> Result<BrokerServer, ProvisionError> {
        let columns = "columns=name,running,mem_alarm,disk_free_alarm,partitions";
        let answer = self.api.ask(Method::GET, &format!("nodes?{columns}"), None).await?;
        if answer.status != 200 {
            return Err(refusal(answer.status, "reading", "nodes"));
        }
        let nodes: Vec<NodeRow> = serde_json::from_slice(&answer.body)
            .map_err(|error| ProvisionError::refused(RabbitMq, format!("nodes: {error}")))?;
        let troubles = nodes.iter().flat_map(NodeRow::troubles).collect();
        Ok(BrokerServer { date: answer.date, troubles })
    }
}

impl NodeRow {
    fn troubles(&self) -> Vec<String> {
        let name = &self.name;
        let mut all = Vec::new();
        if !self.running {
            all.push(format!("node {name} does not run"));
            return all;
        }
        if self.mem_alarm {
            all.push(format!("node {name} has its memory alarm on, and takes no publications"));
        }
        if self.disk_free_alarm {
            all.push(format!("node {name} has its disk alarm on, and takes no publications"));
        }
        if !self.partitions.is_empty() {
            all.push(format!("node {name} is cut off from {}", self.partitions.join(", ")));
        }
        all
    }
}
