//! The trace that a notification belongs to, as the producer's tracing names it (W3C *Trace Context*, `traceparent`).

use std::fmt;

/// A `traceparent`: which trace, and which span of it caused the notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace's id, never all zero.
    pub trace: [u8; 16],
    /// The id of the span that caused the notification, never all zero.
    pub parent: [u8; 8],
    /// Whether the caller records this trace. Spans are written for those alone.
    pub is_sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent` of any version. Nothing if it can't be read: a tracing header at fault must not cost a push, and the
    /// standard has it ignored (W3C *Trace Context* §3.2.4).
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let longer = bytes.len() > 55;
        let is_shaped = bytes.len() >= 55 && [2, 35, 52].into_iter().all(|at| bytes[at] == b'-');
        if !is_shaped || longer && (bytes[55] != b'-' || text.starts_with("00")) {
            return None;
        }
        let [version] = hex(&bytes[..2])?;
        let (trace, parent): ([u8; 16], [u8; 8]) = (hex(&bytes[3..35])?, hex(&bytes[36..52])?);
        let [flags] = hex(&bytes[53..55])?;
        let is_valid = version != 0xff && trace != [0; 16] && parent != [0; 8];
        is_valid.then_some(Self { trace, parent, is_sampled: flags & 1 == 1 })
    }
}

/// Lower-case hexadecimal alone, as the standard demands.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, parent) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.parent));
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", u8::from(self.is_sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_read_is_written_again() {
        let read = TraceContext::parse(GOOD).unwrap();
        assert!(read.is_sampled);
        assert_eq!(read.to_string(), GOOD);
        assert!(!TraceContext::parse(&GOOD.replace("-01", "-00")).unwrap().is_sampled);
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = format!("{}-more", GOOD.replacen("00-", "01-", 1));
        assert!(TraceContext::parse(&later).is_some_and(|context| context.is_sampled));
    }

    #[test]
    fn what_the_standard_forbids_is_no_trace() {
        for bad in [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-more"),
            GOOD.to_uppercase(),
            GOOD.replacen("00-", "ff-", 1),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace('-', "_"),
            GOOD.replace('b', "é"),
        ] {
            assert_eq!(TraceContext::parse(&bad), None, "{bad}");
        }
    }
}
