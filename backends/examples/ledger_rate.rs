//! How fast the PostgreSQL ledger takes final verdicts, what that costs here, and how many bytes there.
//!
//! `DATABASE_URL=postgres://… cargo run --release -p skein-backends --example ledger_rate -- [facts] [rows a batch] [writers]`

use std::time::{Duration, Instant};

use skein_backends::postgres::{PostgresLedger, PostgresOptions};
use skein_core::contract::ledger::Sample;
use skein_core::fact::Fact;
use skein_core::seam::{Ledger, LookUp};
use skein_core::{NotificationId, PoolName};
use sqlx::{Connection, PgConnection};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|n| n.parse::<usize>().ok());
    let count = arguments.next().unwrap_or(300_000);
    let batch = arguments.next().unwrap_or(1000);
    let writers = arguments.next().unwrap_or(1);
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names the database");
    let schema = format!("rate_{}", std::process::id());
    let options = PostgresOptions { tls: false, schema: schema.clone(), ..PostgresOptions::new(&url) };
    let ledger = PostgresLedger::new(options).expect("options");
    ledger.migrate(NotificationId::now().at()).await.expect("migrates");
    let pool = PoolName::parse("enterprise").expect("a pool name");
    let mut control = PgConnection::connect(&url).await.expect("connects");

    let batches: Vec<Vec<Fact>> = (0..count / batch)
        .map(|_| (0..batch).map(|_| Fact::Final(Box::new(Sample::new(&pool).accepted()))).collect())
        .collect();
    sqlx::query("CHECKPOINT").execute(&mut control).await.expect("checkpoint");
    let wal = "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8";
    let before: i64 = sqlx::query_scalar(wal).fetch_one(&mut control).await.expect("wal");
    let (start, cpu_before) = (Instant::now(), cpu());
    let writing = (0..writers).map(|writer| {
        let (ledger, batches) = (&ledger, &batches);
        async move {
            for facts in batches.iter().skip(writer).step_by(writers) {
                assert!(ledger.record(facts).await.expect("recorded").late.is_empty());
            }
        }
    });
    futures_util::future::join_all(writing).await;
    let (seconds, busy) = (start.elapsed().as_secs_f64(), cpu() - cpu_before);
    let rows = (count / batch * batch) as f64;
    let after: i64 = sqlx::query_scalar(wal).fetch_one(&mut control).await.expect("wal");
    let disk: i64 = sqlx::query_scalar(
        "SELECT sum(pg_total_relation_size(c.oid))::int8 FROM pg_class c
         WHERE relkind = 'r' AND relname LIKE 'final%' AND relnamespace = $1::regnamespace",
    )
    .bind(&schema)
    .fetch_one(&mut control)
    .await
    .expect("size");
    eprintln!(
        "{rows} finals in batches of {batch}, {writers} writers: {:.0}/s; here {:.2} us CPU each; {:.0} bytes WAL, {:.0} bytes disk each",
        rows / seconds,
        busy.as_secs_f64() * 1e6 / rows,
        (after - before) as f64 / rows,
        disk as f64 / rows
    );

    let asked: Vec<LookUp> = batches[0]
        .iter()
        .filter_map(|fact| match fact {
            Fact::Final(f) => Some(LookUp { key: f.key, token: f.token }),
            _ => None,
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert!(ledger.look_up(&asked).await.expect("answers").iter().all(|k| k.verdict.is_some()));
    }
    eprintln!("look-ups in batches of {batch}: {:.0}/s", 20.0 * batch as f64 / start.elapsed().as_secs_f64());
    let again = Instant::now();
    assert_eq!(ledger.record(&batches[0]).await.expect("recorded").late.len(), batch);
    eprintln!("the same batch again: {:?}", again.elapsed());
    sqlx::query(sqlx::AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE")))
        .execute(&mut control)
        .await
        .expect("dropped");
}

/// CPU time of this process, all threads.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
