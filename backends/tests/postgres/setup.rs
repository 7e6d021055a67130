//! Ledgers on fresh databases.

use std::net::SocketAddr;

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_backends::token_cipher::TokenCipher;
use skein_core::NotificationId;
use skein_core::fact::{Fact, Final};
use skein_tests::services::{PostgreSql, PostgreSqlAddress};

/// An empty database of the shared server: its name, and the options to reach it.
pub async fn database() -> (&'static PostgreSqlAddress, String, PostgresOptions) {
    let server = PostgreSql::shared().await.unwrap();
    let url = server.database("ledger").await.unwrap();
    let name = url.rsplit('/').next().unwrap().to_owned();
    (server, name, in_clear(&url))
}

pub fn in_clear(url: &str) -> PostgresOptions {
    PostgresOptions { tls: false, ..PostgresOptions::new(url) }
}

/// The options of a database behind another address.
pub fn through(options: &PostgresOptions, name: &str, address: SocketAddr) -> PostgresOptions {
    PostgresOptions { url: format!("postgres://postgres@{address}/{name}"), ..options.clone() }
}

pub fn ledger(options: &PostgresOptions) -> PostgresLedger {
    PostgresLedger::new(options.clone()).unwrap().sealing(TokenCipher::new([9; 32]))
}

/// A ledger with its schema made.
pub async fn ready(options: &PostgresOptions) -> PostgresLedger {
    let ledger = ledger(options);
    ledger.migrate(NotificationId::now().at()).await.unwrap();
    ledger
}

pub fn fact(end: Final) -> Fact {
    Fact::Final(Box::new(end))
}
