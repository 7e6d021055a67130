//! The services' settings, each read by the service itself.

use skein_tests::services::PostgreSql;

use crate::deploy;

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy("services").join(path)).unwrap()
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
