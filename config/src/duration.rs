//! Durations as people write them: `700ms`, `10s`, `1m30s`, `25m`, `24h`, `30d`.

use std::time::Duration;

/// Units from the largest, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: whole numbers, each with its unit (`ms`, `s`, `m`, `h`, `d`), largest first.
///
/// `None` if a unit is missing or unknown, repeats or stands out of order, or the sum does not fit.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum_ms: u64 = 0;
    let mut smallest_ms = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (_, unit_ms) = UNITS.iter().find(|(name, _)| *name == &rest[..letters])?;
        if *unit_ms >= smallest_ms {
            return None;
        }
        smallest_ms = *unit_ms;
        sum_ms = sum_ms.checked_add(number.checked_mul(*unit_ms)?)?;
        rest = &rest[letters..];
    }
    Some(Duration::from_millis(sum_ms))
}

/// Writes a duration so that [`parse_duration`] reads the same one back, to the millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let mut left_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit_ms) in UNITS {
        let count = left_ms / unit_ms;
        if count > 0 {
            text.push_str(&format!("{count}{name}"));
            left_ms %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        for (text, ms) in [
            ("700ms", 700),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("25m", 1_500_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_unclear() {
        for text in [
            "",
            "10",
            "s",
            "10 s",
            "1.5s",
            "-1s",
            "10sec",
            "10s1m",
            "1s1s",
            "99999999999999999999s",
            "300000000000d",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(ms in 0u64..10_000_000_000_000) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
    }
}
