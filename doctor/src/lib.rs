//! Looks a deployment over, end to end: says what is wrong with it, and what to do. Changes nothing.
//!
//! | file | what it looks at |
//! | --- | --- |
//! | `report` | what a check comes to, and all of them together |
//! | `deployment` | what is looked at, and as whom |
//! | `passwords` | the files of the users' passwords |
//! | `broker` | RabbitMQ: its nodes, its version, what it holds, rights |
//! | `ledger` | PostgreSQL: its version, its durability, what it holds, rights |
//! | `coordinator` | ZooKeeper: its servers, its version, the tree, rights |
//! | `apns` | each pool's credential, and the way to APNs |
//! | `clocks` | the services' clocks against this host's |
//! | `host` | this host's limits |
//! | `steps` | what `skein cluster init` would do, as findings |
//! | `rights` | what the probe found, as findings |
//!
//! What must be is not known here: `skein-provision` is asked for it. A service that is away hides nothing of the others: what rests on
//! it is named as not checked.

mod apns;
mod broker;
mod clocks;
mod coordinator;
mod deployment;
mod host;
mod ledger;
mod passwords;
mod report;
mod rights;
mod steps;

pub use deployment::{Administrator, Deployment, OpenFiles, PoolUnderTest, View};
pub use report::{Check, Finding, Report, Severity, State};

use futures_util::future::{join_all, join4};

/// Looks everything over, the services side by side; `told` hears the name of each check that is done. Must be called within a
/// runtime of one thread.
///
/// Bounded by the longest wait of a service: connect limits, statement timeouts, the session's.
pub async fn examine(deployment: &Deployment, told: &dyn Fn(&str)) -> Report {
    let watch = clocks::Watch::default();
    let sound = passwords::examine(deployment);
    told("passwords");
    let services = join4(
        Box::pin(async {
            let checks = broker::examine(deployment, &sound.broken, &watch).await;
            told("rabbitmq");
            checks
        }),
        Box::pin(async {
            let checks = ledger::examine(deployment, &sound.broken, &watch).await;
            told("postgresql");
            checks
        }),
        Box::pin(async {
            let checks = coordinator::examine(deployment, &sound.broken, &watch).await;
            told("zookeeper");
            checks
        }),
        join_all(deployment.pools.iter().map(|pool| {
            Box::pin(async {
                let checks = apns::examine(pool).await;
                told(&pool.name);
                checks
            })
        })),
    );
    let (broker, ledger, coordinator, apns) = services.await;
    let mut checks = sound.checks;
    checks.extend(broker.into_iter().chain(ledger).chain(coordinator));
    checks.extend(apns.into_iter().flatten());
    checks.push(watch.check());
    checks.extend(host::examine(deployment));
    Report::new(checks)
}
