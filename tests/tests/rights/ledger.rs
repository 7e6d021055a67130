//! TLS to PostgreSQL: an administrator's connection, and the ledger's own.

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_core::{Timestamp, seam::Ledger as _};
use skein_test_site::keys::private_file;
use skein_tests::{need, services::PostgreSql};

use crate::{
    authority::Valid,
    encrypted::{Certificates, Way, prove},
};

#[tokio::test]
async fn postgresql() {
    need!("postgresql");
    let certificates = Certificates::new();
    let (good, expired) = tokio::join!(
        PostgreSql::start_with_tls(certificates.server(Valid::Now)),
        PostgreSql::start_with_tls(certificates.server(Valid::Once)),
    );
    let (good, expired) = (good.unwrap(), expired.unwrap());
    prove("PostgreSQL", &certificates, async |way, expired_server| {
        let server = if expired_server { &expired } else { &good }.server();
        let folder = tempfile::tempdir().unwrap();
        let options = options(way, server.port(), folder.path());
        // As `skein cluster init` comes.
        options.connect().await.map_err(|error| error.to_string())?;
        let ledger = PostgresLedger::new(options).map_err(|error| error.to_string())?;
        let done = async {
            ledger.migrate(Timestamp::from_millis(1_800_000_000_000)).await?;
            ledger.ping().await
        };
        let done = done.await.map_err(|error| error.to_string());
        ledger.close().await;
        done
    })
    .await;
}

/// A sender that comes up with the wrong certificate says so too, not only that the database is away.
#[tokio::test]
async fn the_ledgers_own_connections_say_why() {
    need!("postgresql");
    let certificates = Certificates::new();
    let server = PostgreSql::start_with_tls(certificates.server(Valid::Now)).await.unwrap();
    prove_ledger(&certificates, &server).await;
}

async fn prove_ledger(certificates: &Certificates, server: &PostgreSql) {
    let (trusted, late) = certificates.expired_client();
    let folder = tempfile::tempdir().unwrap();
    let way = Way { host: crate::encrypted::NAMED, trusted: &trusted, client: Some(&late) };
    let options = options(&way, server.server().port(), folder.path());
    let ledger = PostgresLedger::new(options).unwrap();
    let why = ledger.ping().await.unwrap_err().to_string();
    assert!(why.contains("PostgreSQL") && why.contains("cert_file"), "{why}");
}

fn options(way: &Way<'_>, port: u16, folder: &std::path::Path) -> PostgresOptions {
    let file = |name: &str, text: &str| {
        private_file(folder, name, text);
        folder.join(name)
    };
    let client_certificate =
        way.client.map(|pem| (file("client.pem", &pem.certificate), file("client.key", &pem.key)));
    PostgresOptions {
        ca_file: Some(file("ca.pem", way.trusted)),
        client_certificate,
        ..PostgresOptions::new(format!("postgres://postgres@{}:{port}/postgres", way.host))
    }
}
