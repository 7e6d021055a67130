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
    /// 400 whose reason is not UTF-8.
    BadText,
    /// 400 with a number that no integer holds.
    HugeNumber,
}

impl Oddity {
    pub(crate) const ALL: [Self; 5] =
        [Self::UnknownReason, Self::Html, Self::NoBody, Self::BadText, Self::HugeNumber];

    /// The status it comes with.
    pub fn status(self) -> u16 {
        match self {
            Self::UnknownReason | Self::BadText | Self::HugeNumber => 400,
            Self::Html => 421,
            Self::NoBody => 503,
        }
    }

    pub(crate) fn content(self) -> Option<(&'static str, &'static [u8])> {
        match self {
            Self::UnknownReason => {
                Some(("application/json", br#"{"reason":"NotYetInvented","more":{"a":[1]}}"#))
            }
            Self::Html => Some(("text/html", b"<html><body>Misdirected Request</body></html>")),
            Self::NoBody => None,
            Self::BadText => Some(("application/json", b"{\"reason\":\"\xff\xfe\"}")),
            Self::HugeNumber => Some((
                "application/json",
                br#"{"reason":"NotYetInvented","timestamp":99999999999999999999999999}"#,
            )),
        }
    }
}
