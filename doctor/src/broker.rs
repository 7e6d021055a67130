//! RabbitMQ: each node by AMQP, its version, the management API, what it holds, and rights.

use skein_core::QueueName;
use skein_producer::LinkOptions;
use skein_producer::link::{Link, LinkError, ServerVersion};
use skein_provision::{ProvisionError, Role, Service, probe_broker, probe_broker_as};

use crate::clocks::{self, Watch};
use crate::deployment::{Administrator, Deployment};
use crate::report::{Check, Finding, State};
use crate::{rights, steps};

/// The first version whose quorum queues keep what the order rests on.
const VERSION_MIN: ServerVersion = ServerVersion(3, 10);
/// The broker's code of what is not there.
const MISSING: u16 = 404;

const NODES: &str = "rabbitmq.nodes";
const VERSION: &str = "rabbitmq.version";
const MANAGEMENT: &str = "rabbitmq.management";
const HOLDS: &str = "rabbitmq.holds";
const RIGHTS: &str = "rabbitmq.rights";

pub(crate) async fn examine(deployment: &Deployment, broken: &[Service], watch: &Watch) -> Vec<Check> {
    if deployment.role().is_some_and(|role| !role.services().contains(&Service::RabbitMq)) {
        return Vec::new();
    }
    let (mut checks, link) = nodes(&deployment.broker).await;
    match &link {
        Some(link) => checks.push(version(link).await),
        None => checks.push(Check::skipped(VERSION, "no node takes this login")),
    }
    match deployment.administrator() {
        Some(administrator) => {
            checks.extend(administered(deployment, administrator, broken, watch, link.is_some()).await);
        }
        None => checks.extend(as_role(deployment, link.as_ref()).await),
    }
    checks
}

/// Every node of the list, not only the first that answers: it is needed when that one dies.
async fn nodes(options: &LinkOptions) -> (Vec<Check>, Option<Link>) {
    let (mut findings, mut first) = (Vec::new(), None);
    for broker in &options.brokers {
        let one = LinkOptions { brokers: vec![broker.clone()], ..options.clone() };
        match Link::connect(&one, 0).await {
            Ok(link) => first = first.or(Some(link)),
            Err(LinkError::Away(why)) => findings.push(Finding::error(
                format!("RabbitMQ at {broker} does not answer: {why}"),
                "start it (systemctl start rabbitmq-server), or correct broker.urls and what stands between",
            )),
            Err(LinkError::Refused(why)) => findings.push(refused(&why)),
        }
    }
    (vec![Check::new(NODES, findings)], first)
}

fn refused(why: &str) -> Finding {
    let remedy = if why.contains("TLS") {
        "name the roots of the broker's certificate in broker.tls.ca_file, and the host as the certificate has it"
    } else if why.contains("vhost") {
        "correct broker.vhost, or let `skein cluster init` make it"
    } else {
        "correct broker.username and its password, or let `skein cluster init` give the broker the folder's"
    };
    Finding::error(format!("RabbitMQ refuses: {why}"), remedy)
}

async fn version(link: &Link) -> Check {
    match link.server_version().await {
        Ok(found) if found >= VERSION_MIN => Check::new(VERSION, Vec::new()),
        Ok(ServerVersion(major, minor)) => {
            let what =
                format!("RabbitMQ is {major}.{minor}, and {}.{} is the least", VERSION_MIN.0, VERSION_MIN.1);
            let remedy = "upgrade it, one node after the other: https://www.rabbitmq.com/docs/upgrade";
            Check::new(VERSION, vec![Finding::error(what, remedy)])
        }
        Err(error) => Check::skipped(VERSION, error.to_string()),
    }
}

async fn administered(
    deployment: &Deployment,
    administrator: &Administrator,
    broken: &[Service],
    watch: &Watch,
    answers: bool,
) -> Vec<Check> {
    let Administrator { credentials, broker, management, init, .. } = administrator;
    let mut checks = Vec::new();
    let asked_ms = clocks::now_ms();
    let server = match broker.server().await {
        Ok(server) => server,
        Err(error) => {
            checks.push(Check::new(MANAGEMENT, vec![unmanaged(&error)]));
            let why = "RabbitMQ's management API does not answer";
            checks.extend([HOLDS, RIGHTS].map(|name| Check::skipped(name, why)));
            return checks;
        }
    };
    if let Some(theirs_ms) = server.date.as_deref().and_then(clocks::of_http) {
        watch.heard("RabbitMQ", theirs_ms, asked_ms);
    }
    let troubles = server.troubles.into_iter().map(|what| {
        Finding::error(
            what,
            "rabbitmq-diagnostics alarms, cluster_status; free memory or disk, or start the node",
        )
    });
    checks.push(Check::new(MANAGEMENT, troubles.collect()));
    if broken.contains(&Service::RabbitMq) {
        checks
            .extend([HOLDS, RIGHTS].map(|name| Check::skipped(name, "a file of a password cannot be used")));
        return checks;
    }
    let cluster = &deployment.cluster;
    let holds = match broker.look(cluster, credentials).await {
        Ok(found) => Check::new(HOLDS, found.iter().map(|(step, _)| steps::finding(step, init)).collect()),
        Err(error) => Check::new(HOLDS, vec![unmanaged(&error)]),
    };
    // Who is there, with which rights, says more than what each may do.
    let rights = match (&holds.state, answers) {
        (State::Fine, true) => match probe_broker(cluster, credentials, &deployment.broker, management).await
        {
            Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, init)),
            Err(error) => Check::skipped(RIGHTS, error.to_string()),
        },
        (_, true) => Check::skipped(RIGHTS, "what RabbitMQ holds must be mended first"),
        (_, false) => Check::skipped(RIGHTS, "no node answers"),
    };
    checks.extend([holds, rights]);
    checks
}

fn unmanaged(error: &ProvisionError) -> Finding {
    let remedy = match error {
        ProvisionError::Away { .. } => {
            "correct monitor.management_url, or: rabbitmq-plugins enable rabbitmq_management"
        }
        ProvisionError::Refused { .. } => {
            "correct monitor.username and its password, or: rabbitmqctl set_user_tags USER administrator"
        }
    };
    Finding::error(error.to_string(), remedy)
}

/// What a role can see by AMQP alone: that what it names is there, and what it may do.
async fn as_role(deployment: &Deployment, link: Option<&Link>) -> Vec<Check> {
    let (Some(link), Some(role)) = (link, deployment.role()) else {
        return [HOLDS, RIGHTS].map(|name| Check::skipped(name, "no node takes this login")).into();
    };
    let cluster = &deployment.cluster;
    let mut missing = Vec::new();
    let names_pools = matches!(role, Role::Sender(_) | Role::Gateway | Role::Producer(_));
    for pool in cluster.pools.iter().filter(|_| names_pools) {
        if !is_there(link, Thing::Exchange(&pool.name.exchange())).await {
            missing.push(format!("exchange {}", pool.name.exchange()));
        }
        for number in 0..pool.queues {
            let queue = QueueName { pool: pool.name.clone(), number }.on_broker();
            if !is_there(link, Thing::Queue(&queue)).await {
                missing.push(format!("queue {queue}"));
            }
        }
    }
    let finding = |what: String| Finding::error(format!("{what}: missing"), deployment.init());
    let holds = Check::new(HOLDS, missing.into_iter().map(finding).collect());
    let user = role.user(&cluster.prefix);
    let rights = match probe_broker_as(role, &user, cluster, &deployment.broker).await {
        Ok(tried) => Check::new(RIGHTS, rights::findings(&tried, deployment.init())),
        Err(error) => Check::skipped(RIGHTS, error.to_string()),
    };
    vec![holds, rights]
}

enum Thing<'a> {
    Queue(&'a str),
    Exchange(&'a str),
}

/// Asked without declaring, on a channel of its own, which a *no* closes.
async fn is_there(link: &Link, thing: Thing<'_>) -> bool {
    use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
    let Ok(channel) = link.connection().create_channel().await else { return true };
    let table = lapin::types::FieldTable::default();
    let said = match thing {
        Thing::Queue(name) => {
            let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
            channel.queue_declare(name.into(), options, table).await.map(drop)
        }
        Thing::Exchange(name) => {
            let options = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name.into(), lapin::ExchangeKind::Direct, options, table).await
        }
    };
    match said {
        Err(error) => {
            !matches!(error.kind(), lapin::ErrorKind::ProtocolError(said) if said.get_id() == MISSING)
        }
        Ok(()) => {
            // It goes with the connection otherwise.
            let _ = channel.close(200, "looked".into()).await;
            true
        }
    }
}
