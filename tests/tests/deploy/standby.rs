//! The ledger's two machines as `deploy/services/postgresql` makes them: what a standby is for.

use std::{fs, time::Duration};

use skein_tests::{
    services::{PostgreSql, PostgreSqlAddress},
    until,
};

use crate::{
    deploy,
    postgresql::{first_start, with_settings},
};

const PASSWORD: &str = "the standby's";
const LIMIT: Duration = Duration::from_secs(60);

/// What `standby.sh` makes of an empty machine.
async fn standby(primary: &PostgreSqlAddress, name: &str) -> PostgreSql {
    let script = fs::read_to_string(deploy("services/postgresql").join("standby.sh")).unwrap();
    let server = primary.server();
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let variables = [("PRIMARY", &*host), ("PRIMARY_PORT", &port), ("NAME", name), ("PGPASSWORD", PASSWORD)];
    let made = PostgreSql::start_by(&script, &variables).await.unwrap();
    let waited_for = async || {
        let sql = format!(
            "SELECT 1 FROM pg_stat_replication WHERE application_name = '{name}' AND sync_state = 'sync'"
        );
        (!primary.query("postgres", &sql).await.ok()?.is_empty()).then_some(())
    };
    until("the standby that commits wait for", LIMIT, waited_for).await.unwrap();
    made
}

async fn write(primary: &PostgreSqlAddress, number: u8) {
    let sql = format!("INSERT INTO kept VALUES ({number})");
    primary.query("skein", &sql).await.unwrap();
}

async fn kept(server: &PostgreSqlAddress) -> Option<String> {
    let rows = server.query("skein", "SELECT string_agg(number::text, ',' ORDER BY number) FROM kept").await;
    rows.ok()?.first()?.first()?.clone()
}

/// P1: a standby that lost its disk is made again by the same command; it takes over from the primary with all that was committed, and
/// the other machine becomes its standby.
#[tokio::test]
async fn a_lost_standby_is_made_again_and_then_takes_over() {
    skein_tests::need!("postgresql");
    let mut first = PostgreSql::start().await.unwrap();
    first_start(&mut first, "the administrator's", PASSWORD).await;
    with_settings(&mut first).await;
    let lost = standby(&first, "postgresql_2").await;
    first.query("skein", "CREATE TABLE kept (number int)").await.unwrap();
    write(&first, 1).await;
    drop(lost);
    let second = standby(&first, "postgresql_2").await;
    write(&first, 2).await;
    first.kill9().await.unwrap();
    second.query("postgres", "SELECT pg_promote()").await.unwrap();
    assert_eq!(kept(&second).await.as_deref(), Some("1,2"), "all that was committed");
    let third = standby(&second, "postgresql_1").await;
    write(&second, 3).await;
    let copied = async || (kept(&third).await.as_deref() == Some("1,2,3")).then_some(());
    until("the copy on the other machine", LIMIT, copied).await.unwrap();
}
