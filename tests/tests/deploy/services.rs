//! The services' settings, each read by the service itself.

use skein_tests::services::{PostgreSql, RabbitMq};

use crate::deploy;

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy("services").join(path)).unwrap()
}

/// What RabbitMQ hashes the word `guest` to, with four zero bytes as salt.
const HASH: &str = "AAAAAPEoQ8a3jY6DABRiJzkoKooQbXiBp2iGLke7d+FVKzJx";

#[tokio::test]
async fn rabbitmq_takes_the_users_their_rights_and_the_policy() {
    skein_tests::need!("rabbitmq");
    let broker = RabbitMq::start().await.unwrap();
    let mut text = read("rabbitmq/definitions.json.in");
    for user in ["admin", "skein-monitor", "skein-gateway", "skein-producer"] {
        text = text.replace(&format!("@{user}@"), HASH);
    }
    for n in 1..=3 {
        text = text.replace(&format!("@skein-sender-{n}@"), HASH);
    }
    assert!(!text.contains('@'), "each user has a place for its hash");
    broker.manage("POST", "definitions", Some(&text)).await.unwrap();
    let permissions = broker.manage("GET", "permissions/skein/skein-sender-2", None).await.unwrap();
    assert!(format!("{permissions:?}").contains("amq"), "{permissions:?}");
    broker.manage("GET", "policies/skein/skein-leaders", None).await.unwrap();
}

/// Runs each line of a settings file through the server that will read it.
#[tokio::test]
async fn postgresql_knows_every_setting() {
    skein_tests::need!("postgresql");
    let server = PostgreSql::start().await.unwrap();
    let url = server.database("settings").await.unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let mut known = 0;
    for line in read("postgresql/postgresql.conf").lines() {
        let Some((name, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { continue };
        let value = value.trim().trim_matches('\'');
        // Every setting is written for the next start, which checks it as the file's would be.
        let set = sqlx::AssertSqlSafe(format!("ALTER SYSTEM SET {name} = '{value}'"));
        sqlx::query(set).execute(&pool).await.unwrap_or_else(|e| panic!("{line}: {e}"));
        known += 1;
    }
    assert!(known > 15, "{known} settings");
}
