//! What is looked at, and as whom.

use skein_apns::{ClientConfig, Credential};
use skein_backends::postgres::PostgresOptions;
use skein_backends::zookeeper::ZooKeeperOptions;
use skein_producer::LinkOptions;
use skein_provision::{
    BrokerAdmin, Cluster, CoordinatorAdmin, Credentials, LedgerAdmin, ManagementAddress, Role,
};

/// A deployment, as its configuration names it.
pub struct Deployment {
    /// Who and what there must be.
    pub cluster: Cluster,
    /// RabbitMQ, by the configuration's login.
    pub broker: LinkOptions,
    /// PostgreSQL, by the configuration's login.
    pub database: PostgresOptions,
    /// The ledger, as a role looks at it; `None` where the role has no business there.
    pub ledger: Option<skein_backends::postgres::PostgresLedger>,
    /// ZooKeeper, by the configuration's login; `None` where none is named.
    pub zookeeper: Option<ZooKeeperOptions>,
    /// The pools whose way to APNs is looked at.
    pub pools: Vec<PoolUnderTest>,
    /// How many files a process of this configuration may have open.
    pub open_files: Option<OpenFiles>,
    /// As whom.
    pub view: View,
}

/// As whom a deployment is looked at.
pub enum View {
    /// As the administrator of all three services: everything is compared, and each role's login tried.
    Administrator(Box<Administrator>),
    /// As one role, by its own configuration: what that role needs, and no more.
    Role(Role),
}

/// What only administrators have.
pub struct Administrator {
    /// The users' passwords.
    pub credentials: Credentials,
    /// RabbitMQ's management API.
    pub broker: BrokerAdmin,
    /// Where it is.
    pub management: ManagementAddress,
    /// The owner of the ledger's schema.
    pub ledger: LedgerAdmin,
    /// The owner of the tree; `None` where the configuration names no ZooKeeper.
    pub coordinator: Option<CoordinatorAdmin>,
    /// The command that makes what is missing, as a shell takes it.
    pub init: String,
}

/// A pool's credential and its way to APNs.
pub struct PoolUnderTest {
    /// Its name.
    pub name: String,
    /// Its credential; or why its files hold none. `None` if they are on other hosts alone.
    pub credential: Option<Result<Credential, String>>,
    /// Why the credential does not fit the pool's environment, its topics or the time.
    pub unfit: Option<String>,
    /// Whole days until it runs out, if it does.
    pub days_left: Option<u64>,
    /// How APNs is reached; or what is wrong with that.
    pub client: Result<ClientConfig, String>,
}

/// What a process may open, by its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    /// Connections to APNs, of all pools.
    pub apns: u64,
    /// Connections to the broker: one a queue at most.
    pub queues: u64,
    /// Connections to the database.
    pub ledger: u64,
}

impl Deployment {
    /// The administrator's means, if it is one who looks.
    pub(crate) fn administrator(&self) -> Option<&Administrator> {
        match &self.view {
            View::Administrator(administrator) => Some(administrator),
            View::Role(_) => None,
        }
    }

    /// The role, if one looks.
    pub(crate) fn role(&self) -> Option<&Role> {
        match &self.view {
            View::Administrator(_) => None,
            View::Role(role) => Some(role),
        }
    }

    /// How what is missing is made.
    pub(crate) fn init(&self) -> &str {
        self.administrator().map_or("skein cluster init, by the administrator", |admin| &admin.init)
    }
}
