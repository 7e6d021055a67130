//! Starts RabbitMQ, PostgreSQL and ZooKeeper in the foreground, for experiments by hand and for `tests/run`.
//!
//! ```text
//! cargo run -p skein-tests --bin services                              # all three
//! cargo run -p skein-tests --bin services -- --only rabbitmq,postgresql
//! cargo run -p skein-tests --bin services -- --env target/services.env  # also into a file, written when all are up
//! ```
//!
//! It prints one line a fact, to be pasted or `eval`ed into a shell, then `ready`:
//!
//! ```text
//! SKEIN_TEST_SERVICES=shared
//! RABBITMQ_URL=amqp://guest:guest@127.0.0.1:12345/%2f
//! RABBITMQ_MANAGEMENT=http://guest:guest@127.0.0.1:12346
//! DATABASE_URL=postgres://postgres@127.0.0.1:12347/postgres
//! ZOOKEEPER=127.0.0.1:12348
//! ready
//! ```
//!
//! SIGINT (control-C) or SIGTERM ends everything and deletes the folders; so does `kill -9`, by watchdogs. Tests that
//! find these variables in their environment share these services instead of starting their own.

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use skein_tests::services::{
    DATABASE_URL, PostgreSql, RABBITMQ_MANAGEMENT, RABBITMQ_URL, RabbitMq, SHARED, ZOOKEEPER, ZooKeeper,
};
use tokio::signal::unix::{SignalKind, signal};

const ALL: [&str; 3] = ["rabbitmq", "postgresql", "zookeeper"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        done = run() => done,
        _ = interrupted.recv() => Ok(()),
        _ = terminated.recv() => Ok(()),
    }
}

async fn run() -> Result<()> {
    let mut only: Vec<String> = ALL.map(String::from).to_vec();
    let mut env_file = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--only" => only = value()?.split(',').map(str::to_owned).collect(),
            "--env" => env_file = Some(PathBuf::from(value()?)),
            _ => bail!("usage: services [--only rabbitmq,postgresql,zookeeper] [--env FILE]"),
        }
    }
    if let Some(unknown) = only.iter().find(|name| !ALL.contains(&name.as_str())) {
        bail!("{unknown:?} is none of {}", ALL.join(", "));
    }
    let wanted = |name: &str| only.iter().any(|n| n == name);

    let (rabbitmq, postgresql, zookeeper) = tokio::try_join!(
        async { if wanted("rabbitmq") { RabbitMq::start().await.map(Some) } else { Ok(None) } },
        async { if wanted("postgresql") { PostgreSql::start().await.map(Some) } else { Ok(None) } },
        async { if wanted("zookeeper") { ZooKeeper::start().await.map(Some) } else { Ok(None) } },
    )?;
    let mut lines = format!("{SHARED}=shared\n");
    if let Some(rabbitmq) = &rabbitmq {
        lines += &format!("{RABBITMQ_URL}={}\n", rabbitmq.url());
        lines += &format!("{RABBITMQ_MANAGEMENT}={}\n", rabbitmq.management_url());
    }
    if let Some(postgresql) = &postgresql {
        lines += &format!("{DATABASE_URL}={}\n", postgresql.url());
    }
    if let Some(zookeeper) = &zookeeper {
        lines += &format!("{ZOOKEEPER}={}\n", zookeeper.url());
    }
    if let Some(path) = env_file {
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, &lines)?;
        std::fs::rename(unfinished, path)?;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{lines}ready")?;
    out.flush()?;
    drop(out);
    std::future::pending().await
}
