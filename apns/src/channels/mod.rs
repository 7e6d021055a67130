//! Broadcast channels (iOS 18, Live Activities): managing them and publishing to them. Apple: "Sending channel management
//! requests to APNs", "Sending broadcast push notification requests to APNs".

mod caller;

use crate::answer::{InDoubt, NotSent};
use crate::client::ClientConfig;
use crate::connection::Call;
use crate::credential::Credential;
use crate::dial::DialError;
use crate::endpoint::Endpoint;
use crate::reason::Reason;
use crate::request::{Expiration, Priority};
use bytes::Bytes;
use caller::{Caller, Response};
use serde::Deserialize;

/// Bytes of a broadcast's payload.
pub const BROADCAST_BYTES_MAX: usize = 5_120;
/// Bytes of a channel id that are taken; Apple fixes no length.
pub const CHANNEL_ID_BYTES_MAX: usize = 256;
/// Bytes of a bundle id.
const BUNDLE_ID_BYTES_MAX: usize = 255;

/// Whether APNs keeps a channel's latest broadcast for devices that are offline. Fixed when the channel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoragePolicy {
    /// None is kept; allows more broadcasts.
    NoStorage,
    /// The most recent one is kept, for at most 8 hours.
    MostRecent,
}

impl StoragePolicy {
    /// The number on the wire.
    pub fn code(self) -> u8 {
        match self {
            StoragePolicy::NoStorage => 0,
            StoragePolicy::MostRecent => 1,
        }
    }

    /// For arguments, tables and messages.
    pub fn label(self) -> &'static str {
        match self {
            StoragePolicy::NoStorage => "none",
            StoragePolicy::MostRecent => "most-recent",
        }
    }
}

/// What APNs knows of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// What it keeps; `None` for a policy that this crate does not know.
    pub storage: Option<StoragePolicy>,
    /// `LiveActivity`, today.
    pub push_type: String,
}

/// One broadcast.
#[derive(Clone)]
pub struct Broadcast {
    /// To whom.
    pub channel_id: String,
    /// Mandatory, unlike a push's: [`Expiration::Unset`] is refused here. On a channel without storage it must be
    /// [`Expiration::NotStored`].
    pub expiration: Expiration,
    /// 5 or 10.
    pub priority: Priority,
    /// The JSON body, at most [`BROADCAST_BYTES_MAX`]. It updates or ends activities; it can't start one.
    pub payload: Bytes,
}

/// What APNs said of a request that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// `apns-request-id`: ours if we gave one, else made by APNs.
    pub request_id: Option<String>,
    /// `apns-unique-id`: the key into Apple's delivery log; with a published broadcast only.
    pub unique_id: Option<String>,
}

/// Why a request about a channel was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChannelError {
    /// What was given can't be sent.
    #[error("{0}")]
    Invalid(&'static str),
    /// APNs refuses.
    #[error("apns refuses ({status}): {}", reason_text(reason))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, if the body says so.
        reason: Option<Reason>,
        /// For asking Apple about it.
        request_id: Option<String>,
    },
    /// APNs took it and answered what can't be read.
    #[error("apns answers {status} without {missing}; what was asked for is done")]
    BadAnswer {
        /// The HTTP status.
        status: u16,
        /// What the answer lacks.
        missing: &'static str,
    },
    /// There is no connection.
    #[error("{0}")]
    Unreachable(#[from] DialError),
    /// APNs refuses our certificate in the handshake.
    #[error("apns refuses the certificate in the tls handshake; renew it")]
    CertificateRefused,
    /// It certainly was not processed.
    #[error("not processed ({}); try again", .0.label())]
    NotSent(NotSent),
    /// It was sent, and nobody knows whether it was processed.
    #[error("sent, and the connection was lost before the answer ({}); list the channels to see what became of it", .0.label())]
    InDoubt(InDoubt),
}

fn reason_text(reason: &Option<Reason>) -> &str {
    match reason {
        Some(Reason::Other(text)) => text,
        Some(reason) => reason.label(),
        None => "no reason given",
    }
}

/// Manages the broadcast channels of one credential's apps and publishes to them. Rare traffic: one request at a time,
/// over a connection that is made when it is needed.
///
/// Each request is sent once, and once more only if it certainly was not processed.
///
/// # Cancellation safety
///
/// A request that is dropped may have been processed.
pub struct Channels {
    credential: Credential,
    manage: Caller,
    publish: Caller,
}

impl Channels {
    /// Manages at `manage` and publishes at `config`'s endpoint; Apple's are [`Endpoint::apple_channels`] and
    /// [`Endpoint::apple`]. Roots, proxy and timeouts are `config`'s. Connects when there is something to ask.
    pub fn new(config: ClientConfig, manage: Endpoint, credential: Credential) -> Self {
        let managing = ClientConfig { endpoint: manage, ..config.clone() };
        Self { credential, manage: Caller::new(managing), publish: Caller::new(config) }
    }

    /// Makes a channel for Live Activities and gives its id. At most 10,000 an app and environment.
    pub async fn create(
        &mut self,
        bundle_id: &str,
        storage: StoragePolicy,
    ) -> Result<(String, Receipt), ChannelError> {
        let body = format!(r#"{{"message-storage-policy":{},"push-type":"LiveActivity"}}"#, storage.code());
        let call = manage("POST", bundle_id, "channels", None, Bytes::from(body))?;
        let response = done(self.manage.call(&self.credential, call).await?)?;
        let missing = ChannelError::BadAnswer { status: response.status, missing: "the channel's id" };
        let id = response.heard.header("apns-channel-id").map(str::to_owned).ok_or(missing)?;
        Ok((id, receipt(&response)))
    }

    /// What a channel is.
    pub async fn read(
        &mut self,
        bundle_id: &str,
        channel_id: &str,
    ) -> Result<(Channel, Receipt), ChannelError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Wire {
            message_storage_policy: Option<u8>,
            push_type: Option<String>,
        }
        let call = manage("GET", bundle_id, "channels", Some(channel_id), Bytes::new())?;
        let response = done(self.manage.call(&self.credential, call).await?)?;
        let missing = ChannelError::BadAnswer { status: response.status, missing: "a readable channel" };
        let wire: Wire = serde_json::from_slice(&response.heard.body).map_err(|_| missing)?;
        let storage = match wire.message_storage_policy {
            Some(0) => Some(StoragePolicy::NoStorage),
            Some(1) => Some(StoragePolicy::MostRecent),
            _ => None,
        };
        Ok((Channel { storage, push_type: wire.push_type.unwrap_or_default() }, receipt(&response)))
    }

    /// Deletes a channel for good; its id is never used again. What is stored may still be delivered.
    pub async fn delete(&mut self, bundle_id: &str, channel_id: &str) -> Result<Receipt, ChannelError> {
        let call = manage("DELETE", bundle_id, "channels", Some(channel_id), Bytes::new())?;
        Ok(receipt(&done(self.manage.call(&self.credential, call).await?)?))
    }

    /// The ids of all channels of an app.
    pub async fn list(&mut self, bundle_id: &str) -> Result<(Vec<String>, Receipt), ChannelError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            channels: Vec<String>,
        }
        let call = manage("GET", bundle_id, "all-channels", None, Bytes::new())?;
        let response = done(self.manage.call(&self.credential, call).await?)?;
        let missing = ChannelError::BadAnswer { status: response.status, missing: "a readable list" };
        // Apple's text says that there is no body, its table names the key.
        let channels = if response.heard.body.is_empty() {
            Vec::new()
        } else {
            serde_json::from_slice::<Wire>(&response.heard.body).map_err(|_| missing)?.channels
        };
        Ok((channels, receipt(&response)))
    }

    /// Publishes to everybody who listens to a channel.
    pub async fn publish(&mut self, bundle_id: &str, broadcast: &Broadcast) -> Result<Receipt, ChannelError> {
        let expiration = match broadcast.expiration {
            Expiration::Unset => {
                return Err(ChannelError::Invalid("a broadcast needs an expiration; 0 stores nothing"));
            }
            Expiration::NotStored => "0".to_owned(),
            Expiration::At(seconds) => seconds.to_string(),
        };
        if broadcast.priority == Priority::PowerFirst {
            return Err(ChannelError::Invalid("a broadcast has priority 10 or 5"));
        }
        if broadcast.payload.is_empty() || broadcast.payload.len() > BROADCAST_BYTES_MAX {
            return Err(ChannelError::Invalid("a broadcast's payload has 1 to 5120 bytes"));
        }
        let headers = vec![
            ("apns-channel-id", channel(&broadcast.channel_id)?.to_owned()),
            ("apns-expiration", expiration),
            ("apns-priority", broadcast.priority.label().to_owned()),
            ("apns-push-type", "liveactivity".to_owned()),
        ];
        let path = format!("/4/broadcasts/apps/{}", bundle(bundle_id)?);
        let body = broadcast.payload.clone();
        let call = Call { key: 0, method: "POST", path, headers, body };
        Ok(receipt(&done(self.publish.call(&self.credential, call).await?)?))
    }
}

fn manage(
    method: &'static str,
    bundle_id: &str,
    what: &str,
    channel_id: Option<&str>,
    body: Bytes,
) -> Result<Call, ChannelError> {
    let path = format!("/1/apps/{}/{what}", bundle(bundle_id)?);
    let mut headers = Vec::new();
    if let Some(id) = channel_id {
        headers.push(("apns-channel-id", channel(id)?.to_owned()));
    }
    if !body.is_empty() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    Ok(Call { key: 0, method, path, headers, body })
}

fn bundle(id: &str) -> Result<&str, ChannelError> {
    let fits = (1..=BUNDLE_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
    if fits { Ok(id) } else { Err(ChannelError::Invalid("a bundle id has letters, digits, '.' and '-'")) }
}

fn channel(id: &str) -> Result<&str, ChannelError> {
    let fits = (1..=CHANNEL_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=-_".contains(&b));
    if fits { Ok(id) } else { Err(ChannelError::Invalid("a channel id is base64, as APNs gave it")) }
}

/// Any 2xx is done: creation answers 201, deletion 204.
fn done(response: Response) -> Result<Response, ChannelError> {
    if (200..300).contains(&response.status) {
        return Ok(response);
    }
    let request_id = receipt(&response).request_id;
    Err(ChannelError::Refused { status: response.status, reason: response.reason, request_id })
}

fn receipt(response: &Response) -> Receipt {
    let header = |name| response.heard.header(name).map(str::to_owned);
    Receipt { request_id: header("apns-request-id"), unique_id: header("apns-unique-id") }
}
