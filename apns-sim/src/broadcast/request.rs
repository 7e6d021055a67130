//! A request for a broadcast or its channels, as its headers come in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CHANNEL_ID_BYTES_MAX;
use crate::push_type::suffix_of;
use crate::reason::{FaultSet, Reason};
use crate::request::{parse_priority, parse_seconds, parse_uuid};

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/4/broadcasts/apps/<bundle>`
    Publish,
    /// `/1/apps/<bundle>/channels`
    Channels,
    /// `/1/apps/<bundle>/all-channels`
    AllChannels,
}

/// How it asks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Delete,
    #[default]
    Other,
}

impl Method {
    pub(crate) fn parse(value: &[u8]) -> Self {
        match value {
            b"GET" => Self::Get,
            b"POST" => Self::Post,
            b"DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }
}

impl Route {
    pub(crate) fn is_management(self) -> bool {
        self != Self::Publish
    }

    fn allows(self, method: Method) -> bool {
        match self {
            Self::Publish => method == Method::Post,
            Self::Channels => method != Method::Other,
            Self::AllChannels => method == Method::Get,
        }
    }

    /// Whether its body counts.
    pub(crate) fn has_body(self, method: Method) -> bool {
        self != Self::AllChannels && method == Method::Post
    }
}

/// What the headers said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BroadcastHead {
    pub(crate) route: Route,
    pub(crate) bundle: String,
    pub(crate) channel: Option<String>,
    pub(crate) request_id: Option<u128>,
    pub(crate) expiration: Option<u64>,
    seen: u8,
}

const CHANNEL: u8 = 1;
const REQUEST_ID: u8 = 2;
const EXPIRATION: u8 = 4;
const PRIORITY: u8 = 8;
const PUSH_TYPE: u8 = 16;

impl BroadcastHead {
    /// `None` if the path is none of the three.
    pub(crate) fn parse(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        let (route, bundle) = match path.strip_prefix("/4/broadcasts/apps/") {
            Some(bundle) => (Route::Publish, bundle),
            None => match path.strip_prefix("/1/apps/")?.split_once('/')? {
                (bundle, "channels") => (Route::Channels, bundle),
                (bundle, "all-channels") => (Route::AllChannels, bundle),
                _ => return None,
            },
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_bundle = !bundle.is_empty() && bundle.len() <= 255 && bundle.bytes().all(plain);
        is_bundle.then(|| Self {
            route,
            bundle: bundle.to_owned(),
            channel: None,
            request_id: None,
            expiration: None,
            seen: 0,
        })
    }

    /// Takes one `apns-…` header.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8], faults: &mut FaultSet) {
        let bit = match name {
            b"apns-channel-id" => {
                self.channel = std::str::from_utf8(value).ok().map(str::to_owned);
                if value.is_empty() || value.len() > CHANNEL_ID_BYTES_MAX || STANDARD.decode(value).is_err() {
                    faults.add(Reason::BadChannelId);
                }
                CHANNEL
            }
            b"apns-request-id" => {
                self.request_id = parse_uuid(value, false);
                if self.request_id.is_none() {
                    faults.add(Reason::BadMessageId);
                }
                REQUEST_ID
            }
            b"apns-expiration" => {
                self.expiration = parse_seconds(value);
                if self.expiration.is_none() {
                    faults.add(Reason::BadExpirationDate);
                }
                EXPIRATION
            }
            b"apns-priority" => {
                if parse_priority(value).is_none() {
                    faults.add(Reason::BadPriority);
                }
                PRIORITY
            }
            b"apns-push-type" => {
                if !value.eq_ignore_ascii_case(b"liveactivity") {
                    faults.add(Reason::InvalidPushType);
                }
                PUSH_TYPE
            }
            _ => 0,
        };
        if self.seen & bit != 0 {
            faults.add(Reason::DuplicateHeaders);
        }
        self.seen |= bit;
    }

    /// The checks that need all headers at once.
    pub(crate) fn finish(&self, method: Method, faults: &mut FaultSet) {
        if !self.route.allows(method) {
            faults.add(Reason::MethodNotAllowed);
        }
        if suffix_of(self.bundle.as_bytes()).is_some() {
            faults.add(Reason::TopicDisallowed);
        }
        let needs_channel = match self.route {
            Route::Publish => true,
            Route::Channels => matches!(method, Method::Get | Method::Delete),
            Route::AllChannels => false,
        };
        let mut needs = |bit, reason| {
            if self.seen & bit == 0 {
                faults.add(reason);
            }
        };
        if needs_channel {
            needs(CHANNEL, Reason::MissingChannelId);
        }
        if self.route == Route::Publish {
            needs(EXPIRATION, Reason::BadExpirationDate);
            needs(PRIORITY, Reason::BadPriority);
            needs(PUSH_TYPE, Reason::MissingPushType);
        }
    }
}
