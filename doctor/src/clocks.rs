//! The services' clocks against this host's.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::report::{Check, Finding};

/// Beyond this a clock is named. The broker tells its time to the second, and an answer takes some.
const SKEW_WARNS_MS: i64 = 5_000;
/// Beyond this, expiry times are wrong by what a user notices.
const SKEW_FAILS_MS: i64 = 60_000;

/// This host's clock, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What the services said, and how far ahead of this host they are.
#[derive(Default)]
pub(crate) struct Watch(RefCell<Vec<(&'static str, i64)>>);

impl Watch {
    /// A service said `theirs_ms` in answer to what was asked at `asked_ms`: half way between then and now.
    pub(crate) fn heard(&self, service: &'static str, theirs_ms: i64, asked_ms: i64) {
        let middle = asked_ms + (now_ms() - asked_ms) / 2;
        self.0.borrow_mut().push((service, theirs_ms - middle));
    }

    /// What comes of it.
    pub(crate) fn check(&self) -> Check {
        let heard = self.0.borrow();
        if heard.is_empty() {
            return Check::skipped("clocks", "no service has told its time");
        }
        Check::new("clocks", findings(&heard))
    }
}

fn findings(heard: &[(&'static str, i64)]) -> Vec<Finding> {
    let off = |ms: &i64| ms.abs() > SKEW_WARNS_MS;
    let first = heard.first().map_or(0, |(_, ms)| *ms);
    let all_alike =
        heard.len() > 1 && heard.iter().all(|(_, ms)| off(ms) && (ms - first).abs() <= SKEW_WARNS_MS);
    if all_alike {
        let services: Vec<&str> = heard.iter().map(|(service, _)| *service).collect();
        return vec![finding("this host", -first, &format!("those of {}", services.join(", ")))];
    }
    heard.iter().filter(|(_, ms)| off(ms)).map(|(service, ms)| finding(service, *ms, "this host's")).collect()
}

fn finding(whose: &str, ahead_ms: i64, of: &str) -> Finding {
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let what = format!("the clock of {whose} is {} s {way} {of}", ahead_ms.abs() / 1000);
    let remedy = format!("on {whose}: timedatectl set-ntp true && chronyc makestep");
    if ahead_ms.abs() > SKEW_FAILS_MS { Finding::error(what, remedy) } else { Finding::warning(what, remedy) }
}

/// An HTTP date (RFC 9110 §5.6.7) in milliseconds since the Unix epoch; the middle of its second.
pub(crate) fn of_http(date: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(zoned.timestamp().as_millisecond() + 500)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Severity;

    #[test]
    fn the_one_that_differs_is_named() {
        assert!(findings(&[("RabbitMQ", 900), ("PostgreSQL", -3_000)]).is_empty());
        let one = findings(&[("RabbitMQ", 0), ("PostgreSQL", -600_000)]);
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].what, "the clock of PostgreSQL is 600 s behind this host's");
        let ours = findings(&[("RabbitMQ", -61_000), ("PostgreSQL", -62_000)]);
        assert_eq!(ours.len(), 1);
        assert!(ours[0].what.starts_with("the clock of this host is 61 s ahead of those of RabbitMQ, P"));
        assert_eq!(findings(&[("ZooKeeper", 7_000)])[0].severity, Severity::Warning);
    }

    #[test]
    fn an_http_date_is_read() {
        assert_eq!(of_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_500));
        assert_eq!(of_http("yesterday"), None);
    }
}
