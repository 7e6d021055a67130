//! The command against a real gateway on loopback, over the engine in memory.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skein_core::memory::{MemoryBroker, MemoryLedger, PausedClock};
use skein_core::{FingerprintKey, PoolName};
use skein_gateway::{Access, ApiKey, Gateway, MemoryStore, Options, PoolRule, ServeOptions, serve};

use super::*;
use crate::args::Door;

struct Site {
    broker: MemoryBroker,
    pool: PoolName,
    url: String,
    folder: PathBuf,
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn site(name: &str) -> Site {
    let pool = PoolName::parse("enterprise").unwrap();
    let broker = MemoryBroker::new([(&pool, 4)]);
    let hash = *blake3::hash(b"right").as_bytes();
    let rule = PoolRule { topics: vec!["t".to_owned()] };
    let access = Access {
        keys: vec![ApiKey { name: "test".into(), hash, pools: None }],
        pools: [(pool.clone(), rule)].into(),
    };
    let gateway = Gateway::new(
        Options::default(),
        access,
        broker.clone(),
        MemoryLedger::new(),
        PausedClock::starting_at(wiring::now()),
        FingerprintKey::derive(b"test"),
        Arc::new(MemoryStore::new(Duration::from_secs(60), 100)),
        &prometheus::Registry::new(),
    )
    .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, gateway.router(), ServeOptions::default(), std::future::pending()));
    let folder = std::env::temp_dir().join(format!("skein-submit-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("right.key"), "right\n").unwrap();
    std::fs::write(folder.join("wrong.key"), "wrong\n").unwrap();
    Site { broker, pool, url, folder }
}

impl Site {
    async fn run(&self, key: &str) -> Run {
        let door = Door { url: Some(self.url.clone()), key_file: Some(self.folder.join(key)) };
        let way = Way::gateway(&Config::default(), &door, self.pool.clone()).await.unwrap();
        Run { way, output: Output::new(false), tally: Tally::default(), began: Instant::now() }
    }

    async fn lines(&self, text: &str) -> Lines {
        let path = self.folder.join("in.ndjson");
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        Lines::open(&path).await.unwrap().0
    }

    fn waiting(&self) -> usize {
        self.broker.pool_depth(&self.pool).ready
    }
}

fn one(token: usize) -> String {
    format!(r#"{{"token":"{token:04x}","topic":"t","payload":{{}}}}"#)
}

fn progress() -> Progress {
    Progress::new(None, Output::new(false))
}

#[tokio::test]
async fn bad_lines_leave_their_neighbours_alone() {
    let site = site("neighbours").await;
    let foreign = one(7).replace(r#""t""#, r#""other""#);
    let text = format!("{}\nnot json\n\n{}\n{foreign}\n{}\n", one(1), one(2), one(3));
    let exit = site.run("right.key").await.many(site.lines(&text).await, progress()).await.unwrap();
    assert_eq!((exit, site.waiting()), (Exit::Failed, 3));
}

#[tokio::test]
async fn everything_accepted_is_done() {
    let site = site("done").await;
    let text: String = (0..1200).map(|n| one(n) + "\n").collect();
    let exit = site.run("right.key").await.many(site.lines(&text).await, progress()).await.unwrap();
    assert_eq!((exit, site.waiting()), (Exit::Done, 1200));
}

/// P3: a repeat under the same key accepts nothing twice.
#[tokio::test]
async fn an_engine_that_comes_back_gets_each_once() {
    let site = site("back").await;
    site.broker.lose_confirms(1);
    let before = {
        let text = format!("{}\n{}\n", one(1), one(2));
        let exit = site.run("right.key").await.many(site.lines(&text).await, progress()).await.unwrap();
        assert_eq!(exit, Exit::Done);
        site.waiting()
    };
    // The one whose confirmation was lost is there twice, under one id: the sender recognises it.
    assert_eq!(before, 3);
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_pool_end_the_run() {
    let site = site("wrong").await;
    let wrong = site.run("wrong.key").await.many(site.lines(&one(1)).await, progress()).await;
    assert!(matches!(wrong, Err(Failure::Usage(_))));
    let mut run = site.run("right.key").await;
    if let Way::Gateway(_, pool) = &mut run.way {
        *pool = PoolName::parse("nowhere").unwrap();
    }
    assert!(matches!(run.many(site.lines(&one(1)).await, progress()).await, Err(Failure::Usage(_))));
    assert_eq!(site.waiting(), 0);
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_away() {
    let site = site("away").await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let door = Door { url: Some(url), key_file: Some(site.folder.join("right.key")) };
    let way = Way::gateway(&Config::default(), &door, site.pool.clone()).await;
    assert!(matches!(way, Err(Failure::Away(_))));
}
