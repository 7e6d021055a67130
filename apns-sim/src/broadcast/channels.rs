//! The channels of every app, and what each of them holds.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{BroadcastHead, BroadcastPolicy, Method, Reply, Route};
use crate::log::lock;
use crate::reason::Reason;

/// The longest that a channel stores its most recent broadcast, in milliseconds: 8 hours.
const STORED_MS_MAX: u64 = 8 * 3600 * 1000;
/// The most apps that have channels.
const APPS_MAX: usize = 10_000;

/// One channel as the control endpoint shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelShown {
    /// Its id, base64.
    pub id: String,
    /// 0: nothing is stored; 1: the most recent broadcast is.
    pub message_storage_policy: u8,
    /// Broadcasts accepted.
    pub published: u64,
    /// The payload that is stored now.
    pub stored: Option<Value>,
}

#[derive(Debug)]
struct Channel {
    policy: u8,
    published: u64,
    /// The most recent broadcast and when it goes.
    stored: Option<(Value, u64)>,
}

type Apps = BTreeMap<String, BTreeMap<String, Channel>>;

#[derive(Debug, Default)]
pub(crate) struct Channels {
    policy: BroadcastPolicy,
    apps: Mutex<Apps>,
}

impl Channels {
    pub(crate) fn new(policy: BroadcastPolicy) -> Self {
        Self { policy, apps: Mutex::default() }
    }

    /// Does what a request without faults asks for; `id` is the channel's, should one be created.
    pub(crate) fn handle(
        &self,
        head: &BroadcastHead,
        method: Method,
        body: &[u8],
        now_ms: u64,
        id: u128,
    ) -> Reply {
        if !self.policy.bundle_ids.is_empty() && !self.policy.bundle_ids.contains(&head.bundle) {
            return Reason::FeatureNotEnabled.into();
        }
        let mut apps = lock(&self.apps);
        let done = match (head.route, method) {
            (Route::Publish, _) => publish(&mut apps, head, body, now_ms),
            (Route::AllChannels, _) => {
                let ids: Vec<&String> = apps.get(&head.bundle).into_iter().flat_map(BTreeMap::keys).collect();
                Ok(Reply { body: Some(json!({ "channels": ids }).to_string()), ..Reply::done(200) })
            }
            (Route::Channels, Method::Post) => self.create(&mut apps, head, body, id),
            (Route::Channels, Method::Delete) => {
                let removed = apps.get_mut(&head.bundle).zip(head.channel.as_ref());
                let removed = removed.and_then(|(channels, id)| channels.remove(id));
                removed.map(|_| Reply::done(204)).ok_or(Reason::ChannelNotRegistered)
            }
            (Route::Channels, _) => channel(&mut apps, head).map(|channel| {
                let body = json!({ "message-storage-policy": channel.policy, "push-type": "LiveActivity" });
                Reply { body: Some(body.to_string()), ..Reply::done(200) }
            }),
        };
        done.unwrap_or_else(Reply::refused)
    }

    fn create(&self, apps: &mut Apps, head: &BroadcastHead, body: &[u8], id: u128) -> Result<Reply, Reason> {
        let policy = storage_policy(body)?;
        if apps.len() >= APPS_MAX && !apps.contains_key(&head.bundle) {
            return Err(Reason::CannotCreateChannelConfig);
        }
        let channels = apps.entry(head.bundle.clone()).or_default();
        if channels.len() >= self.policy.channels_max {
            return Err(Reason::CannotCreateChannelConfig);
        }
        let id = STANDARD.encode(id.to_be_bytes());
        channels.insert(id.clone(), Channel { policy, published: 0, stored: None });
        Ok(Reply { channel: Some(id), ..Reply::done(201) })
    }

    /// Every channel by its app.
    pub(crate) fn shown(&self, now_ms: u64) -> BTreeMap<String, Vec<ChannelShown>> {
        let show = |(id, channel): (&String, &Channel)| ChannelShown {
            id: id.clone(),
            message_storage_policy: channel.policy,
            published: channel.published,
            stored: channel
                .stored
                .as_ref()
                .filter(|(_, until)| now_ms < *until)
                .map(|(body, _)| body.clone()),
        };
        let apps = lock(&self.apps);
        apps.iter().map(|(bundle, all)| (bundle.clone(), all.iter().map(show).collect())).collect()
    }

    pub(crate) fn clear(&self) {
        lock(&self.apps).clear();
    }
}

fn channel<'a>(apps: &'a mut Apps, head: &BroadcastHead) -> Result<&'a mut Channel, Reason> {
    let channels = apps.get_mut(&head.bundle).ok_or(Reason::ChannelNotRegistered)?;
    let id = head.channel.as_ref().ok_or(Reason::MissingChannelId)?;
    channels.get_mut(id).ok_or(Reason::ChannelNotRegistered)
}

fn publish(apps: &mut Apps, head: &BroadcastHead, body: &[u8], now_ms: u64) -> Result<Reply, Reason> {
    let payload: Value = serde_json::from_slice(body).map_err(|_| Reason::BadRequestPayload)?;
    if !payload.is_object() {
        return Err(Reason::BadRequestPayload);
    }
    let channel = channel(apps, head)?;
    let expiration = head.expiration.unwrap_or(0);
    if expiration > 0 && channel.policy == 0 {
        return Err(Reason::BadExpirationDate);
    }
    channel.published += 1;
    if expiration > 0 {
        channel.stored = Some((payload, expiration.saturating_mul(1000).min(now_ms + STORED_MS_MAX)));
    }
    Ok(Reply { is_published: true, ..Reply::done(200) })
}

fn storage_policy(body: &[u8]) -> Result<u8, Reason> {
    let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Reason::BadRequestPayload)?;
    let policy = body.remove("message-storage-policy");
    match body.remove("push-type") {
        None => return Err(Reason::MissingPushType),
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("LiveActivity") => {}
        Some(_) => return Err(Reason::InvalidPushType),
    }
    if !body.is_empty() {
        return Err(Reason::BadRequestParams);
    }
    match policy.as_ref().and_then(Value::as_u64) {
        Some(policy @ (0 | 1)) => Ok(policy as u8),
        _ => Err(Reason::MissingChannelQueueSize),
    }
}
