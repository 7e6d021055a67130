//! What a database does to those who write to it: restarts, cuts, races, missing schema, missing rights.

use std::time::Duration;

use skein_core::contract::ledger::Sample;
use skein_core::fact::{Fact, Final};
use skein_core::seam::{Ledger, LedgerError, LookUp};
use skein_core::{Badge, FinalVerdict, NotificationId, NotificationKey, PoolName, Timestamp};
use skein_tests::relay::{Relay, Side};
use skein_tests::services::PostgreSql;
use skein_tests::{need, until};

use crate::setup::{database, fact, in_clear, ledger, ready, through};

fn pool() -> PoolName {
    PoolName::parse("enterprise").unwrap()
}

fn with_badge(sample: &Sample) -> Fact {
    fact(Final { badge: Some(Badge::Add(1)), ..sample.accepted() })
}

/// P1: killed and back, it keeps what it confirmed; meanwhile it is away, and the same ledger goes on afterwards.
#[tokio::test]
async fn p1_killed_and_back() {
    need!("postgresql");
    let mut server = PostgreSql::start().await.unwrap();
    let ledger = ready(&in_clear(&server.url())).await;
    let (before, meanwhile) = (Sample::new(&pool()), Sample::new(&pool()));
    ledger.record(&[with_badge(&before)]).await.unwrap();
    server.kill9().await.unwrap();
    for _ in 0..3 {
        let away = ledger.record(&[with_badge(&meanwhile)]).await;
        assert!(matches!(away, Err(LedgerError::Away(_))), "{away:?}");
        assert!(matches!(ledger.ping().await, Err(LedgerError::Away(_))));
    }
    server.start_again().await.unwrap();
    assert_eq!(ledger.record(&[with_badge(&meanwhile)]).await.unwrap().late.len(), 0);
    assert_eq!(badges(&ledger, &[before, meanwhile.clone()]).await, [1, 1]);
    // A fast shutdown tells its clients (57P01); that is no refusal.
    server.stop().await.unwrap();
    let away = ledger.record(&[with_badge(&meanwhile)]).await;
    assert!(matches!(away, Err(LedgerError::Away(_))), "{away:?}");
}

async fn badges(ledger: &impl Ledger, samples: &[Sample]) -> Vec<u32> {
    let asked: Vec<LookUp> = samples.iter().map(|s| LookUp { key: s.key, token: s.fingerprint() }).collect();
    ledger.look_up(&asked).await.unwrap().iter().map(|known| known.device.badge).collect()
}

/// P3: whatever moment the connection is lost, recording again leaves each final once and each badge counted once.
#[tokio::test]
async fn p3_cut_at_any_moment_counts_once() {
    const ROUNDS: u64 = 40;
    need!("postgresql");
    let (server, name, options) = database().await;
    let direct = ready(&options).await;
    let relay = Relay::start(server.server()).await.unwrap();
    let cut = ledger(&through(&options, &name, relay.address()));
    let fresh = || -> Vec<Sample> { (0..50).map(|_| Sample::new(&pool())).collect() };
    let facts_of = |samples: &[Sample]| -> Vec<Fact> { samples.iter().map(with_badge).collect() };
    // What a batch sends once its statements are prepared.
    cut.record(&facts_of(&fresh())).await.unwrap();
    let start = relay.bytes_to(Side::Server);
    cut.record(&facts_of(&fresh())).await.unwrap();
    let whole = relay.bytes_to(Side::Server) - start;
    // Answers stay in the relay for a while, so that a cut after the last byte takes away the answer to COMMIT.
    relay.set_delay(Duration::from_millis(3));
    let (mut lost, mut after_commit) = (0, 0);
    for round in 1..=ROUNDS {
        let samples = fresh();
        let facts = facts_of(&samples);
        let ping = async || cut.ping().await.ok();
        until("the relay's connection", Duration::from_secs(10), ping).await.unwrap();
        // Its statements are prepared on this connection.
        cut.record(&facts_of(&fresh())).await.unwrap();
        let start = relay.bytes_to(Side::Server);
        let cutting = async {
            while relay.bytes_to(Side::Server) < start + whole * round / ROUNDS {
                tokio::task::yield_now().await;
            }
            relay.cut_all();
            std::future::pending().await
        };
        let recorded = tokio::select! {
            recorded = cut.record(&facts) => recorded,
            () = cutting => unreachable!(),
        };
        let again = direct.record(&facts).await.unwrap();
        assert!([0, facts.len()].contains(&again.late.len()), "all or none, not {}", again.late.len());
        lost += u32::from(recorded.is_err());
        after_commit += u32::from(recorded.is_err() && !again.late.is_empty());
        assert_eq!(badges(&direct, &samples).await, vec![1; samples.len()]);
        let events = direct.trace(samples[7].key.id).await.unwrap().events;
        assert_eq!(events.len(), 1, "its own row is no late final");
    }
    assert!(lost > after_commit && after_commit > 0, "{lost} cuts, {after_commit} after the commit");
    let all = direct.tally(&pool(), Timestamp::from_millis(0)).await.unwrap().total();
    assert_eq!(all, 50 * (2 + 2 * ROUNDS));
}

/// P1, P3: two owners race for the same keys, in opposite orders: one final each, its badge once, no deadlock.
#[tokio::test]
async fn p1_two_writers_race() {
    need!("postgresql");
    let (_, _, options) = database().await;
    let (one, two) = (ready(&options).await, ready(&options).await);
    for _ in 0..20 {
        let samples: Vec<Sample> = (0..200).map(|_| Sample::new(&pool())).collect();
        let ours: Vec<Fact> = samples.iter().map(with_badge).collect();
        let theirs: Vec<Fact> = samples
            .iter()
            .rev()
            .map(|s| fact(Final { badge: Some(Badge::Add(1)), ..s.end(FinalVerdict::Failed) }))
            .collect();
        let (ours, theirs) = tokio::join!(one.record(&ours), two.record(&theirs));
        let late = ours.unwrap().late.len() + theirs.unwrap().late.len();
        assert_eq!(late, samples.len());
        assert_eq!(badges(&one, &samples).await, vec![1; samples.len()]);
    }
}

#[tokio::test]
async fn several_processes_make_the_schema_at_once() {
    need!("postgresql");
    let (server, name, options) = database().await;
    let now = NotificationId::now().at();
    let ledgers: Vec<_> = (0..4).map(|_| ledger(&options)).collect();
    let (a, b, c, d) = tokio::join!(
        ledgers[0].migrate(now),
        ledgers[1].migrate(now),
        ledgers[2].migrate(now),
        ledgers[3].migrate(now)
    );
    assert_eq!([a, b, c, d], [Ok(()), Ok(()), Ok(()), Ok(())]);
    let days = "SELECT count(*) FROM pg_tables WHERE tablename ~ '^final_[0-9]{8}$'";
    assert_eq!(server.query(&name, days).await.unwrap()[0][0].as_deref(), Some("5"));
}

#[tokio::test]
async fn missing_schema_and_rights_are_refused_by_name() {
    need!("postgresql");
    let (server, name, options) = database().await;
    let sample = Sample::new(&pool());
    let bare = ledger(&options).record(&[with_badge(&sample)]).await;
    assert!(matches!(&bare, Err(LedgerError::Refused(why)) if why.contains("migrate")), "{bare:?}");
    ready(&options).await;
    let role = format!("CREATE ROLE \"{name}\" LOGIN; GRANT USAGE ON SCHEMA skein TO \"{name}\"");
    server.query(&name, &role).await.unwrap();
    let url = options.url.replace("postgres@", &format!("{name}@"));
    let poor = ledger(&in_clear(&url)).record(&[with_badge(&sample)]).await;
    assert!(matches!(&poor, Err(LedgerError::Refused(why)) if why.contains("permission")), "{poor:?}");
}

/// A row's day is its id's; ids far away find a place too, and days are dropped whole.
#[tokio::test]
async fn days_are_made_moved_and_dropped() {
    need!("postgresql");
    let (server, name, options) = database().await;
    let ledger = ready(&options).await;
    let today = Sample::new(&pool());
    let of_day = |day: i64| {
        let id =
            NotificationId::new(Timestamp::from_secs((i64::from(today.at.day()) + day) * 86_400), [1; 10]);
        Sample { key: NotificationKey { id, generation: 0 }, ..today.clone() }
    };
    let samples = [of_day(-4000), of_day(-10), of_day(0), of_day(2), of_day(5)];
    let facts: Vec<Fact> = samples.iter().map(|s| fact(s.accepted())).collect();
    assert_eq!(ledger.record(&facts).await.unwrap().late.len(), 0);
    let in_default = "SELECT count(*) FROM skein.final_default";
    assert_eq!(server.query(&name, in_default).await.unwrap()[0][0].as_deref(), Some("1"));
    let seen = [("final", Some(1)), ("note", Some(0)), ("submitted", Some(0))];
    assert_eq!(ledger.default_rows().await, seen, "it can be told");
    ledger.make_days(samples[0].key.id.at()).await.unwrap();
    assert_eq!(server.query(&name, in_default).await.unwrap()[0][0].as_deref(), Some("0"));
    assert_eq!(ledger.record(&facts).await.unwrap().late.len(), 5);
    assert!(ledger.drop_before(today.at.minus(Duration::from_secs(86_400))).await.unwrap() > 0);
    let asked: Vec<LookUp> = samples.iter().map(|s| LookUp { key: s.key, token: s.fingerprint() }).collect();
    let known: Vec<bool> =
        ledger.look_up(&asked).await.unwrap().iter().map(|k| k.verdict.is_some()).collect();
    assert_eq!(known, [false, false, true, true, true]);
}

/// P9: the database holds no raw token.
#[tokio::test]
async fn p9_tokens_are_stored_sealed() {
    need!("postgresql");
    let (server, name, options) = database().await;
    let ledger = ready(&options).await;
    let sample = Sample::new(&pool());
    ledger.register(&[sample.registration(sample.at)]).await.unwrap();
    assert_eq!(ledger.reveal(sample.fingerprint()).await.unwrap(), Some(sample.token.clone()));
    let row = server.query(&name, "SELECT d::text FROM skein.device d").await.unwrap();
    assert!(!row[0][0].as_deref().unwrap().contains(&sample.token.reveal_hex()));
}
