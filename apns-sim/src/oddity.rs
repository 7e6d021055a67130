//! Answers off the record: what a client may meet although no document has it.

/// Answers that a client should survive although nobody documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// 400 with a reason nobody knows and a key nobody expects.
    UnknownReason,
    /// 421 with a page of HTML, as from something in between.
    Html,
    /// 503 without a body.
    NoBody,
}

impl Oddity {
    /// The status it comes with.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownReason => 400,
            Self::Html => 421,
            Self::NoBody => 503,
        }
    }

    pub(crate) fn content(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::UnknownReason => {
                Some(("application/json", r#"{"reason":"NotYetInvented","more":{"a":[1]}}"#))
            }
            Self::Html => Some(("text/html", "<html><body>Misdirected Request</body></html>")),
            Self::NoBody => None,
        }
    }
}
