//! The page of verdicts: [`judge`] asked about every answer there is.

use std::{fmt::Write as _, time::Duration};

use skein_config::format_duration;
use skein_core::{
    Answer, FinalVerdict, Reason, Reply, Verdict,
    answer::{InDoubt, NotSent},
    judge,
    retry_schedule::{Attempts, RetrySchedule},
    verdict::{Judgement, PoolAction, Scope},
};

/// More answers of one kind in a row than any list has entries.
const ROUNDS_MAX: usize = 12;

const HEAD: &str = "# Verdicts\n\n\
    Made from the code; do not edit. Every notification ends in exactly one final verdict. The words are the same in the \
    ledger, in metrics, in logs and in `skein trace`.\n\n\
    | verdict | what it means | whose it is |\n| --- | --- | --- |\n";

const REASONS: &str = "\n## What each answer of APNs means\n\n\
    *Becomes*: what a notification that gets this answer again and again comes to, with the default schedules \
    (`[retry]` in the [settings](settings.md#retry)). A pause means that it waits at the head of its device's lane; \
    others go on. *About*: whom the answer speaks of.\n\n\
    | status | reason | becomes | about | the pool |\n| --- | --- | --- | --- | --- |\n";

const OTHERS: &str = "\n## Answers without a reason that is known\n\n\
    | status | becomes | about | the pool |\n| --- | --- | --- | --- |\n";

const NO_REPLY: &str = "\n## No answer\n\n\
    *Not sent*: APNs can't have processed it; it is written again and is no copy. *In doubt*: nobody can know; it is written \
    again under the same id, and recorded as a possible copy.\n\n\
    | what | which | becomes |\n| --- | --- | --- |\n";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for verdict in FinalVerdict::ALL {
        let (meaning, whose) = meaning(verdict);
        writeln!(page, "| `{}` | {meaning} | {whose} |", verdict.label()).unwrap();
    }
    page.push_str(REASONS);
    for reason in Reason::KNOWN {
        let status = reason.status().unwrap();
        let simulated = skein_apns_sim::Reason::from_label(reason.label()).map(|known| known.status());
        assert_eq!(simulated, Some(status), "{reason:?}: the simulator's status is another");
        let answer = Answer::Reply(Reply::refusal(status, reason.clone()));
        writeln!(page, "| {status} | `{}` | {}", reason.label(), row(&answer)).unwrap();
    }
    page.push_str(OTHERS);
    for (statuses, status) in [
        ("200", 200),
        ("410", 410),
        ("429", 429),
        ("403", 403),
        ("3xx, 407, 408, 421, 5xx", 502),
        ("any other", 418),
    ] {
        writeln!(page, "| {statuses} | {}", row(&Answer::Reply(Reply::bare(status)))).unwrap();
    }
    page.push_str(NO_REPLY);
    for kind in [NotSent::StreamRefused, NotSent::AboveLastStream, NotSent::NeverWritten] {
        let fate = fate(&Answer::NotSent(kind));
        writeln!(page, "| not sent | `{}` | {fate} |", kind.label()).unwrap();
    }
    for kind in [InDoubt::ConnectionLost, InDoubt::Deadline, InDoubt::StreamReset] {
        let fate = fate(&Answer::InDoubt(kind));
        writeln!(page, "| in doubt | `{}` | {fate} |", kind.label()).unwrap();
    }
    page
}

fn meaning(verdict: FinalVerdict) -> (&'static str, &'static str) {
    match verdict {
        FinalVerdict::Accepted => {
            ("APNs took it (200); that the device showed it, nobody promises", "Apple, the device")
        }
        FinalVerdict::TokenInvalid => (
            "APNs declared the device token gone; it is not written to until it registers anew",
            "the device",
        ),
        FinalVerdict::Failed => (
            "refused for good, or every attempt used up",
            "the caller, the credential or Apple: the reason tells",
        ),
        FinalVerdict::Expired => {
            ("its own time passed before it was written", "the caller's `expires_at`, or our delay")
        }
        FinalVerdict::Superseded => {
            ("a newer one with the same collapse id took its place before it was written", "the caller")
        }
        FinalVerdict::Suppressed => {
            ("not to be sent: its token is known gone, or a rule forbids it", "the device, or the rule")
        }
        FinalVerdict::Cancelled => ("withdrawn before it was written", "the caller"),
        FinalVerdict::Dead => {
            ("could not be read or stored; its bytes are in `skein.dead` with the reason", "the caller")
        }
    }
}

fn row(answer: &Answer) -> String {
    let first = judged(answer, &Attempts::default(), Duration::ZERO);
    let about = match first.scope {
        Scope::Message => "this notification",
        Scope::Token => "this device token",
        Scope::Connection => "the connection",
        Scope::Credential => "the credential",
        Scope::Service => "APNs",
    };
    let pool = match first.pool {
        PoolAction::None => "goes on",
        PoolAction::Pause => "pauses, alarms, probes",
        PoolAction::SuspectSettings => {
            "counts it: many of these stop the pool, since they mean a wrong environment or topic"
        }
        PoolAction::SuspectCredential => "pauses when a second connection says so too",
    };
    format!("{} | {about} | {pool} |", fate(answer))
}

fn judged(answer: &Answer, attempts: &Attempts, held: Duration) -> Judgement {
    judge(answer, attempts, &RetrySchedule::default(), held)
}

/// What it comes to when every write of a notification is answered so.
fn fate(answer: &Answer) -> String {
    let (mut attempts, mut held) = (Attempts::default(), Duration::ZERO);
    let mut pauses: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let judgement = judged(answer, &attempts, held);
        match judgement.verdict {
            Verdict::Final(verdict) if pauses.is_empty() => return format!("`{}`", verdict.label()),
            Verdict::Final(verdict) => {
                return format!("again after {}; then `{}`", list(&pauses), verdict.label());
            }
            Verdict::Retry { after } => pauses.push(after),
        }
        held += *pauses.last().unwrap();
        let counter = match (answer, judgement.scope) {
            (Answer::InDoubt(_), _) => &mut attempts.in_doubt,
            (Answer::NotSent(_), _) => &mut attempts.not_sent,
            (_, Scope::Token) => &mut attempts.throttled,
            (_, Scope::Credential) => &mut attempts.credential,
            (_, Scope::Connection) => &mut attempts.connection,
            (_, Scope::Message | Scope::Service) => &mut attempts.service,
        };
        *counter += 1;
    }
    pauses.dedup();
    format!("again after {}, and so on until it gets another answer", list(&pauses))
}

fn list(pauses: &[Duration]) -> String {
    pauses.iter().map(|pause| format_duration(*pause)).collect::<Vec<_>>().join(", ")
}
