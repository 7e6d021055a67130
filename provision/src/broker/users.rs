//! The broker's users: who is missing, whose password, tags or rights differ, and what anybody has too much.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, encoded};
use super::{BrokerDeed, step};
use crate::credentials::Credentials;
use crate::role::{Cluster, Permission, Role, TopicPermission};
use crate::step::Service::RabbitMq;
use crate::step::{Kind, Step};
use crate::{CredentialsError, ProvisionError};

const HASHING: &str = "rabbit_password_hashing_sha256";
/// The salt before a hash, in bytes.
const SALT_BYTES: usize = 4;

#[derive(Deserialize)]
struct UserRow {
    password_hash: String,
    hashing_algorithm: String,
    tags: Value,
}

#[derive(Deserialize)]
struct PermissionRow {
    vhost: String,
    configure: String,
    write: String,
    read: String,
}

#[derive(Deserialize)]
struct TopicRow {
    vhost: String,
    exchange: String,
    write: String,
    read: String,
}

pub(super) async fn look(
    api: &Api,
    cluster: &Cluster,
    credentials: &Credentials,
) -> Result<Vec<(Step, BrokerDeed)>, ProvisionError> {
    let mut steps = Vec::new();
    for role in cluster.roles_at(RabbitMq) {
        let user = role.user(&cluster.prefix);
        let path = format!("users/{}", encoded(&user));
        let found: Option<UserRow> = api.get(&path).await?;
        let password = credentials.find(RabbitMq, &user).map_err(refused)?;
        if let Some((kind, why)) = differs(found.as_ref(), password.as_deref().map(|p| p.as_str()), &role) {
            steps.push((step(kind, format!("user {user}"), why), BrokerDeed::User(role.clone())));
        }
        let there = found.is_some();
        let rows = if there { api.get(&format!("{path}/permissions")).await? } else { None };
        permissions(&user, role.permission(cluster), rows.unwrap_or_default(), &mut steps);
        let rows = if there { api.get(&format!("{path}/topic-permissions")).await? } else { None };
        topic_permissions(&user, role.topic_permission(cluster), rows.unwrap_or_default(), &mut steps);
    }
    Ok(steps)
}

/// Makes a user, or gives it its tags and password.
pub(super) async fn make(
    api: &Api,
    cluster: &Cluster,
    credentials: &Credentials,
    role: &Role,
) -> Result<(), ProvisionError> {
    let user = role.user(&cluster.prefix);
    let password = credentials.find_or_make(RabbitMq, &user).map_err(refused)?;
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| ProvisionError::refused(RabbitMq, "no random bytes"))?;
    let value = json!({
        "password_hash": hash(salt, &password), "hashing_algorithm": HASHING, "tags": role.tags()
    });
    api.put(&format!("users/{}", encoded(&user)), &value).await
}

fn differs(found: Option<&UserRow>, password: Option<&str>, role: &Role) -> Option<(Kind, String)> {
    let tags = if role.tags().is_empty() { "no tags".to_owned() } else { format!("tag {}", role.tags()) };
    let Some(found) = found else { return Some((Kind::Make, tags)) };
    let Some(password) = password else {
        return Some((
            Kind::Change,
            "a new password: the folder has none; its processes need the new one".to_owned(),
        ));
    };
    if !is_hash_of(&found.password_hash, password) || found.hashing_algorithm != HASHING {
        return Some((Kind::Change, "the password of the folder".to_owned()));
    }
    // A list since 3.9, one text before.
    let has: Vec<&str> = match &found.tags {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => text.split(',').filter(|tag| !tag.is_empty()).collect(),
        _ => Vec::new(),
    };
    let wanted: Vec<&str> = role.tags().split(',').filter(|tag| !tag.is_empty()).collect();
    (has != wanted).then_some((Kind::Change, tags))
}

/// As RabbitMQ stores it: the salt, and the digest of salt and password.
fn hash(salt: [u8; SALT_BYTES], password: &str) -> String {
    let salted = zeroize::Zeroizing::new([&salt, password.as_bytes()].concat());
    STANDARD.encode([&salt, digest(&SHA256, &salted).as_ref()].concat())
}

fn is_hash_of(stored: &str, password: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(stored) else { return false };
    bytes.first_chunk().is_some_and(|salt: &[u8; SALT_BYTES]| hash(*salt, password) == stored)
}

fn permissions(
    user: &str,
    wanted: Option<Permission>,
    found: Vec<PermissionRow>,
    steps: &mut Vec<(Step, BrokerDeed)>,
) {
    let path = |vhost: &str| format!("permissions/{}/{}", encoded(vhost), encoded(user));
    let mut kind = Some(Kind::Make);
    for row in found {
        match &wanted {
            Some(wanted) if wanted.vhost == row.vhost => {
                let same = (&wanted.configure, &wanted.write, &wanted.read)
                    == (&row.configure, &row.write, &row.read);
                kind = (!same).then_some(Kind::Change);
            }
            _ => {
                let what = format!("{user}'s right to virtual host {}", row.vhost);
                steps.push((step(Kind::Take, what, ""), BrokerDeed::Delete(path(&row.vhost))));
            }
        }
    }
    let (Some(kind), Some(wanted)) = (kind, wanted) else { return };
    let Permission { vhost, configure, write, read } = wanted;
    let detail = format!("configure {configure} write {write} read {read}");
    let what = format!("{user}'s rights in virtual host {vhost}");
    let body = json!({"configure": configure, "write": write, "read": read});
    steps.push((step(kind, what, detail), BrokerDeed::Put(path(&vhost), body)));
}

fn topic_permissions(
    user: &str,
    wanted: Option<TopicPermission>,
    found: Vec<TopicRow>,
    steps: &mut Vec<(Step, BrokerDeed)>,
) {
    let path = |vhost: &str| format!("topic-permissions/{}/{}", encoded(vhost), encoded(user));
    let mut kind = Some(Kind::Make);
    for row in found {
        if let Some(wanted) = &wanted
            && (&wanted.vhost, &wanted.exchange) == (&row.vhost, &row.exchange)
        {
            let same = (&wanted.write, &wanted.read) == (&row.write, &row.read);
            kind = (!same).then_some(Kind::Change);
        } else {
            let what = format!("{user}'s keys at exchange {} in {}", row.exchange, row.vhost);
            let one = format!("{}/{}", path(&row.vhost), encoded(&row.exchange));
            steps.push((step(Kind::Take, what, ""), BrokerDeed::Delete(one)));
        }
    }
    let (Some(kind), Some(wanted)) = (kind, wanted) else { return };
    let TopicPermission { vhost, exchange, write, read } = wanted;
    let what = format!("{user}'s keys at exchange {exchange}");
    let detail = format!("write {write} read {read}");
    let body = json!({"exchange": exchange, "write": write, "read": read});
    steps.push((step(kind, what, detail), BrokerDeed::Put(path(&vhost), body)));
}

fn refused(error: CredentialsError) -> ProvisionError {
    ProvisionError::refused(RabbitMq, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RabbitMQ's own page on passwords: salt 908D C60A, password test12.
    #[test]
    fn a_hash_is_rabbitmqs_own() {
        let stored = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
        assert_eq!(hash([0x90, 0x8D, 0xC6, 0x0A], "test12"), stored);
        assert!(is_hash_of(stored, "test12") && !is_hash_of(stored, "test13"));
    }

    #[test]
    fn what_is_too_much_is_taken() {
        let wanted =
            Permission { vhost: "im".into(), configure: "^$".into(), write: "a".into(), read: "^$".into() };
        let row = |vhost: &str, configure: &str| PermissionRow {
            vhost: vhost.into(),
            configure: configure.into(),
            write: "a".into(),
            read: "^$".into(),
        };
        let kinds = |rows| {
            let mut steps = Vec::new();
            permissions("u", Some(wanted.clone()), rows, &mut steps);
            steps.into_iter().map(|(step, _)| step.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(vec![row("im", "^$")]), []);
        assert_eq!(kinds(vec![row("im", ".*")]), [Kind::Change]);
        assert_eq!(kinds(vec![row("im", "^$"), row("/", ".*")]), [Kind::Take]);
        assert_eq!(kinds(vec![]), [Kind::Make]);
    }
}
