//! What the ledger's database needs beside facts: its schema once, partitions for the days ahead, none older than kept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use skein_backends::postgres::PostgresLedger;
use skein_core::seam::{Ledger, LedgerError, LookUp};
use skein_core::{Fingerprint, NotificationId, NotificationKey};
use skein_sender::metrics::Metrics;
use tokio::sync::oneshot;

use crate::wiring;

/// How long between attempts while the schema is not there.
const SCHEMA_PAUSE: Duration = Duration::from_secs(1);
/// How long between looks at the partitions.
const DAYS_PAUSE: Duration = Duration::from_secs(3600);
/// How long between looks for rows that have no day's partition: three short questions.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// Longest wait for the ledger when `/readyz` is asked.
const PING_LIMIT: Duration = Duration::from_secs(2);

/// How long after the schema the partitions are looked at first: what is written before makes the days it needs, and a restart in
/// place waits for nothing it does not need.
const DAYS_AFTER: Duration = Duration::from_secs(2);

/// The most connections that are opened in advance: as many as a start asks at once. Each costs the database a process that learns
/// every table anew.
const WARM_MOST: u32 = 2;

/// Brings the schema up to this version, as often as it takes, then keeps the days. Never returns; `tried` hears of the end of
/// the first attempt.
pub async fn keep(ledger: PostgresLedger, retention: Duration, tried: oneshot::Sender<()>) {
    let mut made = ledger.make_schema().await;
    if let Err(error) = &made {
        tell(error);
    }
    // Nobody listens once the wait for it is over.
    let _ = tried.send(());
    while made.is_err() {
        tokio::time::sleep(SCHEMA_PAUSE).await;
        made = ledger.make_schema().await;
        if made.is_ok() {
            tracing::info!("the ledger's schema is there");
        }
    }
    tokio::time::sleep(DAYS_AFTER).await;
    loop {
        let kept = match ledger.make_days(wiring::now()).await {
            Ok(()) => ledger.drop_before(wiring::now().minus(retention)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "the ledger's partitions are not kept; trying again within the hour");
        }
        tokio::time::sleep(DAYS_PAUSE).await;
    }
}

/// Looks now and then whether rows have no day's partition, and says so in the metrics. Never returns.
pub async fn watch_default_rows(ledger: PostgresLedger, metrics: Arc<Metrics>) {
    loop {
        tokio::time::sleep(DEFAULT_PAUSE).await;
        for (table, rows) in ledger.default_rows().await {
            metrics.default_rows(table, rows);
        }
    }
}

/// Opens connections before they are needed, and lets the database plan on each what the first deliveries ask.
pub async fn warm(ledger: impl Ledger, connections: u32) {
    let nobody = [LookUp {
        key: NotificationKey { id: NotificationId::now(), generation: 0 },
        token: Fingerprint([0; 16]),
    }];
    // A ledger that is away tells of itself soon enough.
    let asked = (0..connections.min(WARM_MOST)).map(|_| ledger.look_up(&nobody));
    let _ = join_all(asked).await;
}

/// Whether a ledger answers: for `/readyz`.
pub async fn ping(ledger: &impl Ledger) -> Result<(), LedgerError> {
    let late = |_| Err(LedgerError::Away(format!("no answer within {PING_LIMIT:?}")));
    tokio::time::timeout(PING_LIMIT, ledger.ping()).await.unwrap_or_else(late)
}

fn tell(error: &LedgerError) {
    match error {
        LedgerError::Away(_) => {
            tracing::warn!(%error, "the ledger's schema cannot be looked at; trying again")
        }
        LedgerError::Refused(_) => {
            tracing::error!(%error, "the ledger's schema cannot be made; check the rights of the database's user; trying again");
        }
    }
}
