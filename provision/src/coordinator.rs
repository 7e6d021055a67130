//! ZooKeeper: the tree and everybody's rights in it, as steps.

use std::collections::BTreeMap;

use skein_backends::zookeeper::{
    Login, Node, Rights, Wrong, ZooKeeperOptions, ZooKeeperRole, ZooKeeperTree, digest_of,
};
use skein_core::seam::CoordinatorError;

use crate::ProvisionError;
use crate::credentials::Credentials;
use crate::role::Cluster;
use crate::step::Service::ZooKeeper;
use crate::step::{Kind, Step};

/// ZooKeeper, reached as the administrator.
pub struct CoordinatorAdmin {
    options: ZooKeeperOptions,
    admin: String,
}

impl CoordinatorAdmin {
    /// `options` holds the administrator's login, which `login` repeats.
    pub fn new(options: ZooKeeperOptions, login: (&str, &str)) -> Self {
        let options = ZooKeeperOptions { login: Some(Login::new(login.0, login.1)), ..options };
        Self { options, admin: digest_of(login.0, login.1) }
    }

    /// Compares what is there with what must be. Changes nothing. Users without a password yet have a list of their own.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn look(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
    ) -> Result<Vec<(Step, Node)>, ProvisionError> {
        let tree = self.tree(cluster, |user| {
            let password = credentials.find(ZooKeeper, user).map_err(refused)?;
            // Nobody's digest: every list differs from it until there is one.
            Ok(password.map_or_else(|| format!("{user}:"), |password| digest_of(user, &password)))
        })?;
        let nodes = tree.look().await.map_err(coordinator_error)?;
        Ok(nodes.into_iter().map(|node| (step(&node), node)).collect())
    }

    /// Does steps, in the order in which they were named. Idempotent.
    ///
    /// # Errors
    /// [`ProvisionError`].
    pub async fn apply(
        &self,
        cluster: &Cluster,
        credentials: &Credentials,
        nodes: &[Node],
    ) -> Result<(), ProvisionError> {
        let tree = self.tree(cluster, |user| {
            let password = credentials.find_or_make(ZooKeeper, user).map_err(refused)?;
            Ok(digest_of(user, &password))
        })?;
        for node in nodes {
            tree.mend(node).await.map_err(coordinator_error)?;
        }
        Ok(())
    }

    fn tree(
        &self,
        cluster: &Cluster,
        digest: impl Fn(&str) -> Result<String, ProvisionError>,
    ) -> Result<ZooKeeperTree, ProvisionError> {
        let mut users = BTreeMap::new();
        for role in ZooKeeperRole::ALL {
            users.insert(role, digest(&cluster.zookeeper_user(role))?);
        }
        let pools: Vec<_> =
            cluster.pools.iter().map(|pool| (pool.name.clone(), pool.queues, pool.prefetch)).collect();
        Ok(ZooKeeperTree::connect(self.options.clone(), Rights::new(self.admin.clone(), users), &pools))
    }
}

fn step(node: &Node) -> Step {
    let (kind, detail) = match node.wrong {
        Wrong::Missing => (Kind::Make, ""),
        Wrong::Rights => (Kind::Change, "rights"),
    };
    Step { service: ZooKeeper, kind, what: format!("node {}", node.path), detail: detail.to_owned() }
}

fn refused(error: crate::CredentialsError) -> ProvisionError {
    ProvisionError::refused(ZooKeeper, error)
}

pub(crate) fn coordinator_error(error: CoordinatorError) -> ProvisionError {
    match error {
        CoordinatorError::Away(why) => ProvisionError::away(ZooKeeper, why),
        other => ProvisionError::refused(ZooKeeper, other),
    }
}
