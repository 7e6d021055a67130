//! The suite of the ledger seam, through a relay that makes the database unreachable.

use std::sync::atomic::{AtomicU32, Ordering};

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_core::PoolName;
use skein_core::contract::ledger::{LedgerHarness, all};
use skein_tests::need;
use skein_tests::relay::Relay;

use crate::setup::{database, ledger, ready, through};

struct Harness {
    relay: Relay,
    options: PostgresOptions,
    used: AtomicU32,
}

impl LedgerHarness for Harness {
    type Ledger = PostgresLedger;

    async fn fresh(&self) -> (PostgresLedger, PoolName) {
        let number = self.used.fetch_add(1, Ordering::Relaxed);
        (ledger(&self.options), PoolName::parse(&format!("pool-{number}")).unwrap())
    }

    async fn reopen(&self, _first: PostgresLedger) -> PostgresLedger {
        ledger(&self.options)
    }

    async fn set_away(&self, _ledger: &PostgresLedger, away: bool) {
        self.relay.set_refusing(away);
        if away {
            self.relay.cut_all();
        } else {
            let address = self.relay.address();
            let listens = async || tokio::net::TcpStream::connect(address).await.ok();
            skein_tests::until("the relay", std::time::Duration::from_secs(10), listens).await.unwrap();
        }
    }
}

#[tokio::test]
async fn keeps_the_promises_of_a_ledger() {
    need!("postgresql");
    let (server, name, options) = database().await;
    let relay = Relay::start(server.server()).await.unwrap();
    let options = through(&options, &name, relay.address());
    ready(&options).await.close().await;
    let harness = Harness { relay, options, used: AtomicU32::new(0) };
    assert_eq!(all(&harness).await, Ok(()));
}
