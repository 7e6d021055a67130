//! What each role's configuration refers to: the names of its users, and the files of their passwords.

use serde_json::json;
use skein_provision::{Cluster, Credentials, Role, Service};

use super::admin;
use crate::args::Who;
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// A role, and a user of its at a service.
fn logins(cluster: &Cluster, at_zookeeper: bool) -> Vec<(Role, Service, String)> {
    let mut all = Vec::new();
    for role in cluster.roles() {
        let user = role.user(&cluster.prefix);
        all.extend(role.services().iter().map(|service| (role.clone(), *service, user.clone())));
        let coordinator = role.at_zookeeper().filter(|_| at_zookeeper);
        all.extend(coordinator.map(|of| (role, Service::ZooKeeper, cluster.zookeeper_user(of))));
    }
    all
}

/// Prints them.
pub fn tell(cluster: &Cluster, credentials: &Credentials, at_zookeeper: bool, output: Output) {
    let row = |(role, service, user): (Role, Service, String)| {
        let path = credentials.path(service, &user).display().to_string();
        [role.user(&cluster.prefix), service.label().to_owned(), user, path]
    };
    let rows: Vec<[String; 4]> = logins(cluster, at_zookeeper).into_iter().map(row).collect();
    let values: Vec<_> = rows
        .iter()
        .map(|[role, service, user, file]| {
            json!({"role": role, "service": service, "username": user, "password_file": file})
        })
        .collect();
    output.table(["ROLE", "SERVICE", "USERNAME", "PASSWORD_FILE"], &rows, &values);
}

/// `skein cluster passwords`: makes those that are missing, and prints them all by name.
pub fn make(config: &skein_config::Config, who: &Who, output: Output) -> Result<Exit, Failure> {
    let cluster = admin::cluster(config, who, "")?;
    let credentials = Credentials::new(&who.credentials_folder);
    for (_, service, user) in logins(&cluster, true) {
        let made = credentials.find_or_make(service, &user);
        made.map_err(|error| Failure::Failed(anyhow::Error::new(error)))?;
    }
    tell(&cluster, &credentials, true, output);
    Ok(Exit::Done)
}
