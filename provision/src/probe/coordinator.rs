//! The probe of ZooKeeper: nobody without a login, nobody with a wrong one, and each role at each node it has no right to.

use skein_backends::zookeeper::{
    Answer, Attempt, Deed, Login, ProbeCall, ZooKeeperOptions, ZooKeeperRole, attempt,
};
use skein_core::QueueName;

use super::{Finding, Must, Said, finding};
use crate::ProvisionError;
use crate::coordinator::coordinator_error;
use crate::credentials::Credentials;
use crate::role::Cluster;
use crate::step::Service::ZooKeeper;

const FOLDERS: [&str; 13] = [
    "/members",
    "/loads",
    "/calls",
    "/queues",
    "/wishes",
    "/quarantines",
    "/monitors",
    "/policy",
    "/bell",
    "/live",
    "/live-history",
    "/live-in-force",
    "/gateways",
];

/// Lets strangers and each role try. `options` reaches ZooKeeper; its login is replaced.
///
/// # Errors
/// As [`super::probe_broker`].
pub async fn probe_coordinator(
    cluster: &Cluster,
    credentials: &Credentials,
    options: &ZooKeeperOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    let mut findings = Vec::new();
    let with_login_of = |role| {
        let user = cluster.zookeeper_user(role);
        let password = super::ledger::password(credentials, ZooKeeper, &user)?;
        let login = Some(Login::new(&user, &password));
        Ok::<_, ProvisionError>((user, ZooKeeperOptions { login, ..options.clone() }))
    };
    // A node below /calls, which would be a running sender's otherwise.
    let (guess, as_sender) = with_login_of(ZooKeeperRole::Sender)?;
    let call = ProbeCall::make(as_sender).await.map_err(coordinator_error)?;
    let path = Some(call.path());
    let strangers =
        [("nobody", None), ("a wrong password", Some(Login::new(guess, "not the password of anybody")))];
    for (who, login) in strangers {
        let all: Vec<(Must, Attempt)> =
            everything(cluster, path).map(|attempt| (Must::Refuse, attempt)).collect();
        findings.extend(try_all(who, ZooKeeperOptions { login, ..options.clone() }, all).await?);
    }
    for role in ZooKeeperRole::ALL {
        let (user, options) = with_login_of(role)?;
        findings.extend(probe_as(role, &user, cluster, path, options).await?);
    }
    call.end().await.map_err(coordinator_error)?;
    Ok(findings)
}

/// Lets one role try, by the login of `options`; `user` is its name in what is found.
///
/// # Errors
/// As [`super::probe_broker`].
pub async fn probe_coordinator_as(
    role: ZooKeeperRole,
    user: &str,
    cluster: &Cluster,
    options: ZooKeeperOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    probe_as(role, user, cluster, None, options).await
}

async fn probe_as(
    role: ZooKeeperRole,
    user: &str,
    cluster: &Cluster,
    call: Option<&str>,
    options: ZooKeeperOptions,
) -> Result<Vec<Finding>, ProvisionError> {
    let all = everything(cluster, call).filter_map(|attempt| Some((must(role, &attempt)?, attempt)));
    try_all(user, options, all.collect()).await
}

/// Each deed at each node; the root is the administrator's alone.
fn everything(cluster: &Cluster, call: Option<&str>) -> impl Iterator<Item = Attempt> {
    let queue = cluster.pools.first().map(|pool| QueueName { pool: pool.name.clone(), number: 0 });
    let queue = queue.map(|queue| format!("/queues/{queue}"));
    let paths = ["/", "/rights"]
        .into_iter()
        .chain(FOLDERS)
        .map(str::to_owned)
        .chain(queue)
        .chain(call.map(str::to_owned));
    let deeds = [Deed::Read, Deed::List, Deed::Write, Deed::Create, Deed::Delete, Deed::Rights];
    let all = paths.flat_map(move |path| deeds.map(|deed| Attempt { deed, path: path.clone() }));
    // To delete the root is a right above it, which is none of this cluster's.
    all.filter(|attempt| (attempt.deed, attempt.path.as_str()) != (Deed::Delete, "/"))
}

/// What must come of it; `None` where the answer would disturb a running fleet.
fn must(role: ZooKeeperRole, attempt: &Attempt) -> Option<Must> {
    use ZooKeeperRole::{Gateway, Monitor, Operator, Sender};
    let Attempt { deed, path } = attempt;
    let allowed = match (path.as_str(), deed) {
        (_, Deed::Rights | Deed::Delete) | ("/", _) => false,
        ("/rights", deed) => matches!(deed, Deed::Read | Deed::List),
        ("/gateways", Deed::Create) => role == Gateway,
        ("/gateways", deed) => role == Operator && matches!(deed, Deed::Read | Deed::List),
        // It is told what is live, and nothing else.
        (path, deed) if role == Gateway => path == "/live" && matches!(deed, Deed::Read | Deed::List),
        ("/bell", Deed::Create) => false,
        ("/bell", _) => true,
        ("/members" | "/loads", Deed::Create) => role == Sender,
        ("/members" | "/loads", deed) => matches!(deed, Deed::Read | Deed::List),
        ("/calls", Deed::Write) => false,
        ("/calls", _) => role != Operator,
        (path, Deed::Create) if is_call(path) => role == Sender,
        (path, _) if is_call(path) => role != Operator,
        ("/queues", Deed::Create) => role == Monitor,
        ("/queues", Deed::Write) => false,
        ("/queues", _) => true,
        ("/wishes", Deed::Create) => role == Operator,
        ("/wishes", Deed::Write) => false,
        ("/wishes", _) => role != Sender,
        ("/quarantines", Deed::Create) => role == Operator,
        ("/quarantines", Deed::Write) => false,
        ("/quarantines", _) => role != Sender,
        ("/policy", Deed::Write) => role == Monitor,
        ("/policy", Deed::Create) => false,
        ("/policy", _) => role != Sender,
        ("/monitors", Deed::Create) => role == Monitor,
        ("/monitors", Deed::Write) => false,
        ("/monitors", _) => role != Sender,
        ("/live", Deed::Write) | ("/live-history", Deed::Create) => role == Operator,
        ("/live", Deed::Create) | ("/live-history" | "/live-in-force", Deed::Write) => false,
        ("/live", _) => true,
        ("/live-history", _) => role == Operator,
        ("/live-in-force", Deed::Create) => role != Operator,
        ("/live-in-force", _) => true,
        // One queue's record.
        (_, Deed::Write) => role != Operator,
        (_, Deed::Create) => false,
        (_, _) => true,
    };
    match (allowed, deed) {
        // A child that is made and deleted again looks like a member, a queue or a monitor for a moment.
        (true, Deed::Create) => None,
        (true, _) => Some(Must::Allow),
        (false, _) => Some(Must::Refuse),
    }
}

fn is_call(path: &str) -> bool {
    path.starts_with("/calls/")
}

async fn try_all(
    who: &str,
    options: ZooKeeperOptions,
    all: Vec<(Must, Attempt)>,
) -> Result<Vec<Finding>, ProvisionError> {
    let (musts, attempts): (Vec<Must>, Vec<Attempt>) = all.into_iter().unzip();
    let answers = attempt(options, &attempts).await.map_err(coordinator_error)?;
    let rows = musts.into_iter().zip(attempts).zip(answers);
    let row = |((must, attempt), answer): ((Must, Attempt), Answer)| {
        let said = match answer {
            Answer::Refused => Said::Refused("no right".to_owned()),
            Answer::Allowed => Said::Done,
        };
        finding(ZooKeeper, who, format!("{} {}", attempt.deed.label(), attempt.path), must, said)
    };
    Ok(rows.map(row).collect())
}
