//! The table over every reason, and the edges around it.

use super::*;
use crate::answer::{InDoubt, NotSent};

fn judged(answer: &Answer) -> Judgement {
    judge(answer, &Attempts::default(), &RetrySchedule::default(), Duration::ZERO)
}

fn reply(status: u16, reason: &str) -> Judgement {
    judged(&Answer::Reply(Reply::refusal(status, Reason::parse(reason))))
}

const FAILED: Verdict = Verdict::Final(FinalVerdict::Failed);
const GONE: Verdict = Verdict::Final(FinalVerdict::TokenInvalid);
const SOON: Verdict = Verdict::Retry { after: Duration::from_millis(500) };
const SECOND: Verdict = Verdict::Retry { after: Duration::from_secs(1) };
const NOW: Verdict = Verdict::Retry { after: Duration::ZERO };

#[test]
fn every_reason() {
    use PoolAction::{None, Pause, SuspectCredential, SuspectSettings};
    use Scope::{Connection, Credential, Message, Service, Token};
    let table = [
        (400, "BadCollapseId", FAILED, Message, None),
        (400, "BadDeviceToken", FAILED, Message, SuspectSettings),
        (400, "BadExpirationDate", FAILED, Message, None),
        (400, "BadMessageId", FAILED, Message, None),
        (400, "BadPriority", FAILED, Message, None),
        (400, "BadTopic", FAILED, Message, SuspectSettings),
        (400, "DeviceTokenNotForTopic", FAILED, Message, SuspectSettings),
        (400, "DuplicateHeaders", FAILED, Message, None),
        (400, "IdleTimeout", NOW, Connection, None),
        (400, "InvalidPushType", FAILED, Message, None),
        (400, "MissingDeviceToken", FAILED, Message, None),
        (400, "MissingTopic", FAILED, Message, SuspectSettings),
        (400, "PayloadEmpty", FAILED, Message, None),
        (400, "TopicDisallowed", FAILED, Message, SuspectSettings),
        (403, "BadCertificate", SECOND, Credential, Pause),
        (403, "BadCertificateEnvironment", SECOND, Credential, Pause),
        (403, "ExpiredProviderToken", SECOND, Connection, SuspectCredential),
        (403, "Forbidden", FAILED, Credential, Pause),
        (403, "InvalidProviderToken", SECOND, Connection, SuspectCredential),
        (403, "MissingProviderToken", SECOND, Credential, Pause),
        (403, "UnrelatedKeyIdInToken", SECOND, Connection, SuspectCredential),
        (403, "BadEnvironmentKeyIdInToken", SECOND, Credential, Pause),
        (403, "BadEnvironmentKeyInToken", SECOND, Credential, Pause),
        (404, "BadPath", FAILED, Message, None),
        (405, "MethodNotAllowed", FAILED, Message, None),
        (410, "ExpiredToken", GONE, Token, None),
        (410, "Unregistered", GONE, Token, None),
        (413, "PayloadTooLarge", FAILED, Message, None),
        (429, "TooManyProviderTokenUpdates", SECOND, Connection, SuspectCredential),
        (429, "TooManyRequests", SECOND, Token, None),
        (500, "InternalServerError", SOON, Service, None),
        (503, "ServiceUnavailable", SOON, Service, None),
        (503, "Service Unavailable", SOON, Service, None),
        (503, "Shutdown", SOON, Service, None),
        (302, "", SOON, Service, None),
        (400, "SomethingNew", FAILED, Message, None),
        (403, "SomethingNew", SECOND, Credential, Pause),
        (410, "SomethingNew", GONE, Token, None),
        (404, "SomethingNew", FAILED, Message, None),
        (405, "SomethingNew", FAILED, Message, None),
        (407, "<html>", SOON, Service, None),
        (408, "<html>", SOON, Service, None),
        (413, "SomethingNew", FAILED, Message, None),
        (418, "SomethingNew", FAILED, Message, None),
        (421, "SomethingNew", SOON, Service, None),
        (429, "SomethingNew", SECOND, Token, None),
        (500, "SomethingNew", SOON, Service, None),
        (503, "SomethingNew", SOON, Service, None),
        (520, "<html>", SOON, Service, None),
        (999, "<html>", SOON, Service, None),
    ];
    for (status, reason, verdict, scope, pool) in table {
        assert_eq!(reply(status, reason), Judgement { verdict, scope, pool }, "{status} {reason}");
    }
    for (status, ..) in table.iter().filter(|row| matches!(Reason::parse(row.1), Reason::Other(_))) {
        let bare = judged(&Answer::Reply(Reply::bare(*status)));
        let row =
            table.iter().find(|row| row.0 == *status && matches!(Reason::parse(row.1), Reason::Other(_)));
        assert_eq!(Some(bare.verdict), row.map(|row| row.2), "{status} without a body that can be read");
    }
    for known in Reason::KNOWN {
        assert!(
            table.iter().any(|row| Reason::parse(row.1) == *known),
            "{} is not in the table",
            known.label()
        );
    }
}

#[test]
fn accepted_and_bodiless() {
    assert_eq!(judged(&Answer::Reply(Reply::bare(200))).verdict, Verdict::Final(FinalVerdict::Accepted));
    assert_eq!(judged(&Answer::Reply(Reply::bare(410))).verdict, GONE);
    assert_eq!(judged(&Answer::Reply(Reply::bare(500))).verdict, SOON);
}

#[test]
fn attempts_end() {
    let schedule = RetrySchedule::default();
    let answer = Answer::Reply(Reply::bare(500));
    let after = |service| {
        judge(&answer, &Attempts { service, ..Attempts::default() }, &schedule, Duration::ZERO).verdict
    };
    assert_eq!(after(1), Verdict::Retry { after: Duration::from_secs(900) });
    assert_eq!(after(2), FAILED);
    let late =
        judge(&answer, &Attempts { service: 1, ..Attempts::default() }, &schedule, Duration::from_secs(601));
    assert_eq!(late.verdict, FAILED, "nothing is held beyond 25 minutes");
    let few = RetrySchedule { attempts_max: 3, ..RetrySchedule::default() };
    let mixed = |throttled| {
        let attempts = Attempts { in_doubt: 1, throttled, ..Attempts::default() };
        judge(&answer, &attempts, &few, Duration::ZERO).verdict
    };
    assert_eq!(mixed(0), SOON);
    assert_eq!(mixed(1), FAILED, "the third attempt is the last, whatever the first two were");
}

#[test]
fn not_sent_never_fails_and_in_doubt_does() {
    let schedule = RetrySchedule::default();
    let many = Attempts { not_sent: 1000, in_doubt: 1000, ..Attempts::default() };
    let not_sent = judge(&Answer::NotSent(NotSent::StreamRefused), &many, &schedule, Duration::ZERO);
    assert_eq!(not_sent.verdict, Verdict::Retry { after: Duration::from_secs(30) });
    let in_doubt = judge(&Answer::InDoubt(InDoubt::Deadline), &many, &schedule, Duration::ZERO);
    assert_eq!(in_doubt.verdict, FAILED);
    assert_eq!(judged(&Answer::InDoubt(InDoubt::ConnectionLost)).verdict, NOW);
}

#[test]
fn what_is_suspect_is_kept_while_the_pool_is_stopped() {
    let kept = reply(400, "BadDeviceToken").while_stopped();
    assert_eq!((kept.verdict, kept.scope), (Verdict::Retry { after: SUSPECT_HOLD }, Scope::Credential));
    for other in ["BadPriority", "Unregistered", "InvalidProviderToken", "Forbidden"] {
        let judgement = reply(400, other);
        assert_eq!(judgement.while_stopped(), judgement, "{other}");
    }
}

#[test]
fn p4_the_410_rule() {
    let t = Timestamp::from_millis;
    assert!(is_gone(Some(t(1000)), t(5000), None));
    assert!(is_gone(Some(t(1000)), t(5000), Some(t(999))));
    assert!(!is_gone(Some(t(1000)), t(5000), Some(t(1000))), "registered anew in the same millisecond");
    assert!(!is_gone(Some(t(1000)), t(5000), Some(t(2000))));
    assert!(is_gone(None, t(5000), Some(t(4999))), "without a timestamp the time of sending stands in");
    assert!(!is_gone(None, t(5000), Some(t(5001))));
}

#[test]
fn codes_read_back() {
    for verdict in FinalVerdict::ALL {
        assert_eq!(FinalVerdict::from_code(verdict.code()), Some(verdict));
    }
    assert_eq!(FinalVerdict::from_code(0), None);
}
