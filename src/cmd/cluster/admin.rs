//! The services of a configuration as their administrator reaches them, and who there is.

use skein_backends::postgres::PostgresOptions;
use skein_backends::zookeeper::{Login, ZooKeeperOptions};
use skein_config::{Config, Engine};
use skein_core::fleet::MemberId;
use skein_producer::LinkOptions;
use skein_provision::{
    BrokerAdmin, Cluster, CoordinatorAdmin, Credentials, LedgerAdmin, ManagementAddress, Pool, ProvisionError,
};

use crate::args::Who;
use crate::exit::Failure;
use crate::wiring;

/// What the name of a connection says.
const CONNECTION: &str = "skein-cluster-init";

/// The services.
pub struct Admin {
    pub cluster: Cluster,
    pub credentials: Credentials,
    pub broker: BrokerAdmin,
    pub ledger: LedgerAdmin,
    /// None where the configuration names no ZooKeeper.
    pub coordinator: Option<CoordinatorAdmin>,
    pub link: LinkOptions,
    pub management: ManagementAddress,
    pub database: PostgresOptions,
    pub zookeeper: Option<ZooKeeperOptions>,
}

impl Admin {
    /// Reads it all from the configuration; connects to nothing yet.
    pub fn new(config: &Config, who: &Who) -> Result<Self, Failure> {
        if config.engine != Engine::Cluster {
            let why = "with engine = \"embedded\" there is nothing to make: its one file makes itself; name the cluster's configuration with -c";
            return Err(Failure::Usage(why.to_owned()));
        }
        let link = wiring::link(config, CONNECTION)?;
        let Some(management) = wiring::monitor::management(config)? else {
            let why = "monitor.management_url is not set: users and rights are made over RabbitMQ's management API; set it, and \
                       monitor.username to a user with the tag administrator";
            return Err(Failure::Usage(why.to_owned()));
        };
        let address =
            ManagementAddress { host: management.url.host, port: management.url.port, tls: management.tls };
        let login = (management.username.as_str(), management.password.as_str());
        let database = wiring::postgres_options(config)?;
        let zookeeper = wiring::zookeeper::options(config)?;
        let coordinator = zookeeper.clone().map(|options| coordinator(config, options)).transpose()?;
        Ok(Self {
            cluster: cluster(config, who, &database.schema)?,
            credentials: Credentials::new(&who.credentials_folder),
            broker: BrokerAdmin::new(address.clone(), login, link.clone()),
            ledger: LedgerAdmin::new(database.clone(), wiring::now()),
            coordinator,
            link,
            management: address,
            database,
            zookeeper: zookeeper.map(|options| ZooKeeperOptions { login: None::<Login>, ..options }),
        })
    }
}

fn coordinator(config: &Config, options: ZooKeeperOptions) -> Result<CoordinatorAdmin, Failure> {
    let login = config.coordinator.username.as_deref().zip(config.coordinator.password.as_ref());
    let Some((user, password)) = login else {
        let why = "coordinator.username and its password are not set: they become ZooKeeper's administrator of this cluster, \
                   who alone may change rights; choose a name and a long random password, and keep them";
        return Err(Failure::Usage(why.to_owned()));
    };
    Ok(CoordinatorAdmin::new(options, (user, password.expose())))
}

/// Who there is: the configuration's pools, and the senders and producers that are named.
pub fn cluster(config: &Config, who: &Who, schema: &str) -> Result<Cluster, Failure> {
    let prefetch = config.broker.prefetch.get();
    let pools = wiring::sender::pools(config)?;
    let pools = pools.into_iter().map(|(name, queues)| Pool { name, queues, prefetch });
    let mut senders = who.senders.clone();
    if senders.is_empty() {
        let member = config.sender.member.as_deref();
        senders.extend(member.and_then(|member| MemberId::parse(member).ok()));
    }
    if senders.is_empty() {
        let why = "no sender is named: give --sender MEMBER for each, or set sender.member";
        return Err(Failure::Usage(why.to_owned()));
    }
    senders.sort();
    senders.dedup();
    Ok(Cluster {
        prefix: who.user_prefix.clone(),
        vhost: config.broker.vhost.clone(),
        events_vhost: config.monitor.events_vhost.clone(),
        queue_bytes_max: config.broker.queue_bytes_max.bytes(),
        pools: pools.collect(),
        senders,
        producers: who.producers.clone(),
        schema: schema.to_owned(),
    })
}

/// How a command ends on it.
pub fn failure(error: ProvisionError) -> Failure {
    match error {
        ProvisionError::Away { .. } => Failure::Away(error.to_string()),
        ProvisionError::Refused { .. } => Failure::Failed(anyhow::Error::new(error)),
    }
}
