//! The services' settings, each read by the service itself.

use skein_tests::services::PostgreSql;

use crate::postgresql::settings;

/// Each setting goes through the server that will read it.
#[tokio::test]
async fn postgresql_knows_every_setting() {
    skein_tests::need!("postgresql");
    let server = PostgreSql::start().await.unwrap();
    let settings = settings();
    for (name, value) in &settings {
        // Every setting is written for the next start, which checks it as the file's would be.
        let sql = format!("ALTER SYSTEM SET {name} = '{value}'");
        server.query("postgres", &sql).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    assert!(settings.len() > 15, "{} settings", settings.len());
}
