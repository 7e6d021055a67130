//! From the configuration to what is looked at: as the administrator, or as one role.

use std::collections::BTreeSet;
use std::time::SystemTime;

use skein_backends::zookeeper::{Login, ZooKeeperOptions};
use skein_config::{Config, Engine};
use skein_core::fleet::MemberId;
use skein_doctor::{Administrator, Deployment, OpenFiles, PoolUnderTest, View};
use skein_provision::{Role, Service};
use skein_sender::credential::view::CredentialView;

use super::command;
use crate::args::{Common, Doctor, RoleName, Who};
use crate::cmd::cluster::admin::{Admin, cluster};
use crate::exit::Failure;
use crate::output::reason;
use crate::wiring;
use crate::wiring::apns::{check, client_config, credential};

/// What the name of a connection says.
const CONNECTION: &str = "skein-doctor";

/// Reads it all from the configuration, with the credentials of the pools whose files are here; connects to nothing yet.
pub fn deployment(
    config: &Config,
    here: &BTreeSet<String>,
    common: &Common,
    asked: &Doctor,
) -> Result<Deployment, Failure> {
    if config.engine != Engine::Cluster {
        let why = "with engine = \"embedded\" there is no deployment to look over; name the cluster's configuration with -c";
        return Err(Failure::Usage(why.to_owned()));
    }
    let who = Who {
        senders: asked.senders.clone(),
        producers: asked.producers.clone(),
        credentials_folder: asked.credentials_folder.clone().unwrap_or_default(),
        user_prefix: asked.user_prefix.clone(),
    };
    if asked.credentials_folder.is_some() {
        let Admin {
            cluster, credentials, broker, ledger, coordinator, management, zookeeper, database, ..
        } = Admin::new(config, &who)?;
        let init = command::init(common, asked);
        let administrator = Administrator { credentials, broker, management, ledger, coordinator, init };
        return Ok(Deployment {
            cluster,
            broker: wiring::link(config, CONNECTION)?,
            database,
            ledger: None,
            zookeeper: zookeeper.map(|options| with_login(config, options)),
            pools: pools(config, here),
            open_files: None,
            view: View::Administrator(Box::new(administrator)),
        });
    }
    as_role(config, here, asked, who)
}

fn as_role(
    config: &Config,
    here: &BTreeSet<String>,
    asked: &Doctor,
    who: Who,
) -> Result<Deployment, Failure> {
    let member = match asked.senders.first() {
        Some(member) => member.clone(),
        None => {
            let name = wiring::sender::member(config);
            MemberId::parse(&name)
                .map_err(|error| Failure::Usage(format!("sender.member: {name}: {error}")))?
        }
    };
    let role = match asked.role {
        RoleName::Sender => Role::Sender(member.clone()),
        RoleName::Monitor => Role::Monitor,
        RoleName::Gateway => Role::Gateway,
        RoleName::Producer => {
            Role::Producer(asked.producers.first().cloned().unwrap_or_else(|| "producer".to_owned()))
        }
        RoleName::Operator => Role::Operator,
        RoleName::Support => Role::Support,
    };
    let who = Who { senders: vec![member], ..who };
    let at_ledger = role.services().contains(&Service::PostgreSql);
    let database = wiring::postgres_options(config)?;
    let cluster = cluster(config, &who, &database.schema)?;
    // A monitor is nobody in the queues' virtual host.
    let mut seen = config.clone();
    if role == Role::Monitor {
        seen.broker.vhost = config.monitor.events_vhost.clone();
    }
    let sends = matches!(role, Role::Sender(_));
    let queues = cluster.pools.iter().map(|pool| u64::from(pool.queues)).sum();
    let apns = config.pools.values().map(|pool| u64::from(pool.connections_max.get())).sum();
    let open_files = OpenFiles { apns, queues, ledger: config.ledger.connections.get().into() };
    Ok(Deployment {
        broker: wiring::link(&seen, CONNECTION)?,
        ledger: at_ledger.then(|| wiring::postgres_ledger(config)).transpose()?,
        database,
        zookeeper: wiring::zookeeper::options(config)?,
        pools: if sends { pools(config, here) } else { Vec::new() },
        open_files: sends.then_some(open_files),
        cluster,
        view: View::Role(role),
    })
}

fn with_login(config: &Config, options: ZooKeeperOptions) -> ZooKeeperOptions {
    let login = config.coordinator.username.as_ref().zip(config.coordinator.password.as_ref());
    let login = login.map(|(user, password)| Login::new(user, password.expose()));
    ZooKeeperOptions { login, ..options }
}

fn pools(config: &Config, here: &BTreeSet<String>) -> Vec<PoolUnderTest> {
    let one = |(name, pool): (&String, &skein_config::Pool)| {
        let read =
            here.contains(name).then(|| credential(&pool.credential).map_err(|error| format!("{error:#}")));
        let usable = read.as_ref().and_then(|read| read.as_ref().ok());
        let unfit = usable.and_then(|credential| check(credential, pool).err());
        let info = usable.map(skein_apns::Credential::info);
        PoolUnderTest {
            name: name.clone(),
            unfit: unfit.map(|error| error.to_string()),
            days_left: CredentialView::new(info, false, None, SystemTime::now()).days_left,
            credential: read,
            client: client_config(config, name, pool).map_err(|failure| reason(&failure)),
        }
    };
    config.pools.iter().map(one).collect()
}
