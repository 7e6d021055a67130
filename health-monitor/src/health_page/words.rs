//! Figures and words as the page writes them. Whatever comes from outside passes through [`text`].

use std::fmt::Display;

use skein_core::Timestamp;

/// Anything, safe between tags and within a quoted attribute.
pub(super) fn text(shown: impl Display) -> String {
    let shown = shown.to_string();
    let mut safe = String::with_capacity(shown.len());
    for c in shown.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// What is known, or a dash that is read as what it means.
pub(super) fn known(shown: Option<impl Display>) -> String {
    shown.map_or_else(|| "<span class=\"quiet\" title=\"not known\">–</span>".to_owned(), text)
}

/// A whole number with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// A rate: tenths below ten.
pub(super) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        count(per_second.round() as u64)
    }
}

/// A span.
pub(super) fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// The time of day; the rest on asking.
pub(super) fn time(at: Timestamp) -> String {
    let whole = at.to_string();
    let of_day = whole.get(11..19).unwrap_or(&whole);
    format!("<time datetime=\"{0}\" title=\"{0}\">{1}</time>", text(&whole), text(of_day))
}

/// A state in its colour. The word says it; the colour only helps to find it.
pub(super) fn badge(tone: &str, word: impl Display) -> String {
    format!("<span class=\"badge {tone}\">{}</span>", text(word).replace('_', " "))
}

/// One and many.
pub(super) fn many(n: usize, one: &str, more: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {more}", count(n as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        assert_eq!([0.0, 0.42, 9.94, 9.99, 1234.4].map(rate), ["0", "0.4", "9.9", "10", "1\u{202f}234"]);
        assert_eq!([40, 1_040, 61_000, 3_720_000].map(span), ["40 ms", "1.0 s", "1 min 1 s", "1 h 2 min"]);
    }

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(text("<a href='\"&"), "&lt;a href=&#39;&quot;&amp;");
    }
}
