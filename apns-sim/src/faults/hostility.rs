//! Ways in which a server breaks HTTP/2: what a client must survive.

use serde::{Deserialize, Serialize};

/// What the server sends that no server may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hostility {
    /// A frame larger than the client allows.
    OversizedFrame,
    /// A header block that refers to no entry of the table.
    BadHpack,
    /// A number in a header block that does not fit 64 bits.
    HpackInteger,
    /// A header block that never ends.
    HeaderFlood,
    /// SETTINGS that leave no window.
    ZeroWindow,
    /// A window of more than 2^31−1.
    WindowOverflow,
    /// An answer on a stream that nobody opened.
    UnknownStream,
    /// A PUSH_PROMISE.
    PushPromise,
}

impl Hostility {
    pub(crate) const ALL: [Self; 8] = [
        Self::OversizedFrame,
        Self::BadHpack,
        Self::HpackInteger,
        Self::HeaderFlood,
        Self::ZeroWindow,
        Self::WindowOverflow,
        Self::UnknownStream,
        Self::PushPromise,
    ];
}
