//! Facts survive their wait in the facts queue.

use super::*;

fn key() -> NotificationKey {
    NotificationKey {
        id: NotificationId::new(Timestamp::from_millis(1_795_000_000_123), [3; 10]),
        generation: 2,
    }
}

fn full() -> Final {
    Final {
        key: key(),
        pool: PoolName::parse("im").unwrap(),
        verdict: FinalVerdict::TokenInvalid,
        cause: Cause::Borrowed("Unregistered"),
        status: 410,
        token: Fingerprint([0xab; 16]),
        user: Some(Fingerprint([1; 16])),
        app: Some("chat".into()),
        reference: Some("m-\"7\"\u{0}ü".into()),
        collapse: Some(Fingerprint([2; 16])),
        submitted_at: Some(Timestamp::from_millis(1_795_000_000_001)),
        at: Timestamp::from_millis(1_795_000_000_999),
        queue: 15,
        attempts: 3,
        duration_us: u32::MAX,
        payload_bytes: 5120,
        possible_copy: true,
        repeat: true,
        badge: Some(Badge::Add(4)),
        gone_at: Some(Timestamp::from_millis(1_795_000_000_500)),
        slot: Slot::new(1023).unwrap(),
        sender: "s1".into(),
    }
}

fn note(kind: NoteKind) -> Note {
    Note {
        key: key(),
        pool: PoolName::parse("im").unwrap(),
        kind,
        cause: Cause::Owned("connection_lost".to_owned()),
        status: 0,
        at: Timestamp::from_millis(5),
        attempt: 1,
        until: Some(Timestamp::from_millis(6)),
        possible_copy: false,
        sender: "s1".into(),
    }
}

#[test]
fn p1_every_fact_reads_back_as_it_was() {
    let mut facts = vec![
        Fact::Final(Box::new(full())),
        Fact::Submitted(Box::new(SubmittedBatch {
            pool: PoolName::parse("im").unwrap(),
            at: Timestamp::from_millis(7),
            ids: vec![key().id, key().id],
        })),
    ];
    facts.extend(
        [NoteKind::Retry, NoteKind::InDoubt, NoteKind::LateFinal].map(|k| Fact::Note(Box::new(note(k)))),
    );
    facts.extend(FinalVerdict::ALL.map(|verdict| {
        let bare = Final {
            verdict,
            user: None,
            app: None,
            reference: None,
            collapse: None,
            submitted_at: None,
            badge: None,
            gone_at: None,
            ..full()
        };
        Fact::Final(Box::new(bare))
    }));
    for fact in facts {
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(serde_json::from_str::<Fact>(&text).unwrap(), fact, "{text}");
    }
}

#[test]
fn a_field_of_a_later_version_is_ignored_and_a_wrong_value_is_not() {
    let value = serde_json::to_value(Fact::Final(Box::new(full()))).unwrap();
    assert_eq!(value["final"]["verdict"], FinalVerdict::TokenInvalid.label());
    let mut later = value.clone();
    later["final"]["from_next_year"] = 1.into();
    assert!(serde_json::from_value::<Fact>(later).is_ok());
    for (field, wrong) in [("slot", 1024.into()), ("pool", "No Pool".into()), ("token", "ab".into())] {
        let mut broken = value.clone();
        let wrong: serde_json::Value = wrong;
        broken["final"][field] = wrong;
        assert!(serde_json::from_value::<Fact>(broken).is_err(), "{field}");
    }
}

#[test]
fn a_late_final_keeps_its_verdict_in_the_note() {
    assert_eq!(full().late_note().cause, "token_invalid: Unregistered");
    let long = Final { cause: "ü".repeat(32).into(), ..full() };
    let cause = long.late_note().cause;
    assert!(cause.len() <= CAUSE_BYTES_MAX && cause.starts_with("token_invalid: ü"), "{cause}");
}

#[test]
fn p4_without_apns_time_the_write_counts() {
    let timed = Final { duration_us: 250_000, ..full() };
    assert_eq!(timed.gone_since(), full().gone_at);
    let silent = Final { gone_at: None, ..timed };
    assert_eq!(silent.gone_since(), Some(Timestamp::from_millis(1_795_000_000_749)));
    assert_eq!(Final { verdict: FinalVerdict::Failed, ..silent }.gone_since(), None);
}
