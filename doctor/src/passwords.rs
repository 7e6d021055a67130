//! The files of the users' passwords: there, and nobody else's to read.

use skein_provision::{CredentialsError, Service};

use crate::deployment::Deployment;
use crate::report::{Check, Finding};

/// What became of it, and of which services nothing can be compared.
pub(crate) struct Passwords {
    pub(crate) checks: Vec<Check>,
    pub(crate) broken: Vec<Service>,
}

pub(crate) fn examine(deployment: &Deployment) -> Passwords {
    let Some(administrator) = deployment.administrator() else {
        return Passwords { checks: Vec::new(), broken: Vec::new() };
    };
    let cluster = &deployment.cluster;
    let mut users = Vec::new();
    for role in cluster.roles() {
        users.extend(role.services().iter().map(|service| (*service, role.user(&cluster.prefix))));
        let coordinator = role.at_zookeeper().filter(|_| deployment.zookeeper.is_some());
        users.extend(coordinator.map(|of| (Service::ZooKeeper, cluster.zookeeper_user(of))));
    }
    users.sort();
    users.dedup();
    let (mut findings, mut broken) = (Vec::new(), Vec::new());
    for (service, user) in users {
        let path = administrator.credentials.path(service, &user);
        match administrator.credentials.find(service, &user) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let what = format!("the password of {user} at {service} is missing: {}", path.display());
                findings.push(Finding::error(what, administrator.init.clone()));
            }
            Err(error) => {
                let remedy = match &error {
                    CredentialsError::Open(path) => format!("chmod 0600 {}", path.display()),
                    CredentialsError::Empty(path) => {
                        format!("rm {} && {}", path.display(), administrator.init)
                    }
                    CredentialsError::Io { path, .. } => {
                        format!("ls -l {}, and let this user read it", path.display())
                    }
                };
                findings
                    .push(Finding::error(format!("the password of {user} at {service}: {error}"), remedy));
                broken.push(service);
            }
        }
    }
    broken.dedup();
    Passwords { checks: vec![Check::new("passwords", findings)], broken }
}
