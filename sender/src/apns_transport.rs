//! The transport seam over the APNs client: one client a pool and shard.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_apns as apns;
use skein_core::answer::{Answer, Evidence, InDoubt, NotSent, Reply};
use skein_core::seam::{Answered, Transport, Trouble, TroubleClass, Windows, Write};
use skein_core::{Content, Expiration, Priority, PushType, Reason, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::connection_metrics::ConnectionMetrics;
use crate::credential::slot::{Slot, Version};
use crate::credential::trial::Trial;

/// While there is no connection, how often the transport looks whether there is one.
const CONNECT_LOOK: Duration = Duration::from_millis(10);

/// Without a connection for this long, that is a trouble, whether or not an attempt has failed yet: a peer that is silent keeps
/// an attempt open for the whole of its timeout.
const UNCONNECTED_MAX: Duration = Duration::from_secs(1);

/// A connection that stands this long after a certificate was refused is not refused itself: longer than a TLS round trip.
const STANDS_AFTER: Duration = Duration::from_secs(30);

/// The transport of one pool on one shard.
pub struct ApnsTransport {
    config: apns::ClientConfig,
    slot: Arc<Slot>,
    versions: watch::Receiver<Version>,
    /// `None` while there is no credential to connect with.
    client: Option<apns::Client>,
    /// What the credential in place says of itself.
    info: Option<apns::CredentialInfo>,
    trial: Option<Trial>,
    /// Certificates refused in handshakes when the trial began.
    refused_before: u64,
    handshakes: Cell<Handshakes>,
    /// Since when it was seen without a connection.
    unconnected_since: Cell<Option<Instant>>,
    metrics: Option<ConnectionMetrics>,
    answered: Vec<apns::connection::Answered>,
    returned: Vec<Answered>,
}

impl ApnsTransport {
    /// With the credential of a slot, and each that takes its place; it connects by itself.
    pub fn new(config: apns::ClientConfig, slot: Arc<Slot>) -> Self {
        let mut versions = slot.versions();
        let first = versions.borrow_and_update().credential.clone();
        Self {
            info: first.as_ref().map(apns::Credential::info),
            client: first.map(|credential| apns::Client::new(config.clone(), credential)),
            config,
            slot,
            versions,
            trial: None,
            refused_before: 0,
            handshakes: Cell::default(),
            unconnected_since: Cell::default(),
            metrics: None,
            answered: Vec::new(),
            returned: Vec::new(),
        }
    }

    /// Its connections are counted there.
    #[must_use]
    pub fn measured(self, metrics: ConnectionMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Another credential is in place.
    fn adopt(&mut self) {
        let version = self.versions.borrow_and_update().clone();
        // Without one, what is open goes on; nothing better is known.
        let Some(credential) = version.credential else { return };
        self.info = Some(credential.info());
        let Some(client) = &mut self.client else {
            self.client = Some(apns::Client::new(self.config.clone(), credential));
            return;
        };
        let first_connection = client.rotate(credential);
        // What is refused from here on is another.
        self.handshakes.set(Handshakes { is_refusing: false, ..self.handshakes.get().after(client) });
        self.refused_before = refused_in_handshakes(client);
        if version.on_trial {
            self.trial = Some(Trial::new(version.number, first_connection));
        } else if let Some(trial) = &mut self.trial {
            trial.succeeded_by(first_connection);
        }
    }

    /// Whether the trial ended in a handshake, where no push tells of it.
    fn look_at_handshakes(&mut self) {
        let (Some(trial), Some(client)) = (&mut self.trial, &self.client) else { return };
        if trial.is_open()
            && refused_in_handshakes(client) > self.refused_before
            && let Some(ended) = trial.refused_otherwise("the handshake refuses the certificate")
        {
            self.slot.report(trial.version, ended);
        }
    }

    fn translate(&mut self, key: u64, answer: apns::Answer) -> Answered {
        let evidence = evidence(answer.evidence());
        if let Some(trial) = &mut self.trial {
            let (ended, is_refusal) = trial.judge(&answer);
            if let Some(ended) = ended {
                self.slot.report(trial.version, ended);
            }
            if is_refusal {
                return Answered { key, answer: Answer::NotSent(NotSent::NeverWritten), evidence };
            }
        }
        Answered { key, answer: translate(answer), evidence }
    }
}

fn refused_in_handshakes(client: &apns::Client) -> u64 {
    client.health().connect_failures[apns::ConnectFailure::ClientCertificate.index()]
}

impl Transport for ApnsTransport {
    fn room(&self) -> usize {
        self.client.as_ref().filter(|client| client.is_connected()).map_or(0, apns::Client::room)
    }

    fn resize(&mut self, windows: Windows) {
        let Windows { connections_max, in_flight_max } = windows;
        let config = &mut self.config;
        if (connections_max, in_flight_max) == (config.connections_max, config.in_flight_max) {
            return;
        }
        (config.connections_max, config.in_flight_max) = (connections_max, in_flight_max);
        if let Some(client) = &mut self.client {
            client.resize(connections_max, in_flight_max);
        }
    }

    fn write(&mut self, write: Write) {
        let content = &write.content;
        let request = apns::Request {
            key: write.key,
            token: Bytes::copy_from_slice(write.token.as_bytes()),
            topic: Arc::clone(&content.topic),
            push_type: push_type(content.push_type),
            priority: match content.priority {
                Priority::Immediate => apns::Priority::Immediate,
                Priority::Conserve => apns::Priority::PowerAware,
                Priority::Lowest => apns::Priority::PowerFirst,
            },
            expiration: match content.expiration {
                Expiration::Unset => apns::Expiration::Unset,
                Expiration::NotStored => apns::Expiration::NotStored,
                Expiration::At(at) => apns::Expiration::At(u64::try_from(at.as_secs()).unwrap_or(1).max(1)),
            },
            collapse_id: content.collapse_id.as_ref().map(|id| Arc::from(id.as_str())),
            apns_id: *write.id.as_bytes(),
            payload: write.payload,
        };
        let Some(client) = &mut self.client else {
            self.returned.push(unsent(write.key));
            return;
        };
        if let Err(request) = client.write(request) {
            // Room was asked for before: only a client that is being drained refuses.
            self.returned.push(unsent(request.key));
        }
    }

    async fn progress(&mut self, answers: &mut Vec<Answered>) {
        if self.returned.is_empty() {
            let Self { client, versions, answered, .. } = self;
            let unconnected = client.as_ref().is_some_and(|client| !client.is_connected());
            let working = async {
                match client {
                    Some(client) => client.progress(answered).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = working => {}
                () = tokio::time::sleep(CONNECT_LOOK), if unconnected => {}
                Ok(()) = versions.changed() => self.adopt(),
            }
        }
        self.look_at_handshakes();
        if let (Some(metrics), Some(client)) = (&mut self.metrics, &self.client) {
            metrics.look(client);
        }
        answers.append(&mut self.returned);
        let mut answered = std::mem::take(&mut self.answered);
        answers.extend(answered.drain(..).map(|(key, answer)| self.translate(key, answer)));
        self.answered = answered;
    }

    fn covers(&self, content: &Content) -> bool {
        self.info.as_ref().is_none_or(|info| info.covers(&content.topic))
    }

    fn trouble(&self) -> Option<Trouble> {
        let Some(client) = &self.client else {
            let why = "there is no credential to connect with".to_owned();
            return Some(Trouble { class: TroubleClass::NoCredential, why });
        };
        let handshakes = self.handshakes.get().after(client);
        self.handshakes.set(handshakes);
        if handshakes.is_refusing {
            let class = apns::ConnectFailure::ClientCertificate.label();
            let why = format!("{class}: the server refuses our certificate");
            return Some(Trouble { class: TroubleClass::Credential, why });
        }
        if client.is_connected() {
            self.unconnected_since.set(None);
            return None;
        }
        let since = self.unconnected_since.get().unwrap_or_else(Instant::now);
        self.unconnected_since.set(Some(since));
        let status = client.status();
        if let Some(last) = status.last_failure.filter(|last| !last.is_past) {
            let class = match last.failure {
                apns::ConnectFailure::TlsChain => TroubleClass::Chain,
                _ => TroubleClass::Network,
            };
            return Some(Trouble { class, why: format!("{}: {}", last.failure.label(), last.detail) });
        }
        let lost = status.last_lost.map_or(String::new(), |lost| format!(", the last one was lost: {lost}"));
        let why = || format!("no connection yet, and no answer to the attempts to connect{lost}");
        (since.elapsed() >= UNCONNECTED_MAX).then(|| Trouble { class: TroubleClass::Network, why: why() })
    }
}

/// Whether handshakes end in a refusal of our certificate. Under TLS 1.3 a connection stands before the server has judged it:
/// what shows that it is not refused is an answer, or that it stands for long.
#[derive(Debug, Default, Clone, Copy)]
struct Handshakes {
    /// Certificates refused, and answers, when last looked at.
    refused: u64,
    replies: u64,
    is_refusing: bool,
}

impl Handshakes {
    fn after(self, client: &apns::Client) -> Self {
        let (refused, replies) = (refused_in_handshakes(client), client.health().connections.replies);
        let stands = || {
            let last = client.status().last_failure;
            client.is_connected() && last.is_none_or(|last| last.ago > STANDS_AFTER)
        };
        let is_refusing = match self {
            _ if replies > self.replies => false,
            _ if refused > self.refused => true,
            _ => self.is_refusing && !stands(),
        };
        Self { refused, replies, is_refusing }
    }
}

fn unsent(key: u64) -> Answered {
    Answered { key, answer: Answer::NotSent(NotSent::NeverWritten), evidence: Evidence::default() }
}

fn evidence(evidence: &apns::Evidence) -> Evidence {
    Evidence {
        connection: u32::try_from(evidence.connection).unwrap_or(u32::MAX),
        stream: evidence.stream,
        duration_us: u32::try_from(evidence.duration_us).unwrap_or(u32::MAX),
    }
}

fn translate(answer: apns::Answer) -> Answer {
    match answer {
        apns::Answer::Reply { status, reason, timestamp_ms, apns_unique_id, .. } => Answer::Reply(Reply {
            status,
            reason: reason.map(|reason| reason_of(&reason)),
            timestamp: timestamp_ms.map(Timestamp::from_millis),
            unique_id: apns_unique_id,
        }),
        apns::Answer::NotSent { why, .. } => Answer::NotSent(match why {
            apns::NotSent::Refused => NotSent::StreamRefused,
            apns::NotSent::AboveLastStream => NotSent::AboveLastStream,
            apns::NotSent::NeverWritten
            | apns::NotSent::CertificateRefused
            | apns::NotSent::NoConnection(_)
            | apns::NotSent::Closed => NotSent::NeverWritten,
        }),
        apns::Answer::InDoubt { why, .. } => Answer::InDoubt(match why {
            apns::InDoubt::Deadline => InDoubt::Deadline,
            apns::InDoubt::StreamReset(_) => InDoubt::StreamReset,
            apns::InDoubt::ConnectionLost
            | apns::InDoubt::TunnelLost
            | apns::InDoubt::Silent
            | apns::InDoubt::ProtocolFault
            | apns::InDoubt::Closed => InDoubt::ConnectionLost,
        }),
    }
}

fn reason_of(reason: &apns::Reason) -> Reason {
    match reason {
        apns::Reason::Other(text) => Reason::parse(text),
        known => Reason::parse(known.label()),
    }
}

fn push_type(push_type: PushType) -> apns::PushType {
    match push_type {
        PushType::Alert => apns::PushType::Alert,
        PushType::Background => apns::PushType::Background,
        PushType::Voip => apns::PushType::Voip,
        PushType::Complication => apns::PushType::Complication,
        PushType::Fileprovider => apns::PushType::FileProvider,
        PushType::Location => apns::PushType::Location,
        PushType::Liveactivity => apns::PushType::LiveActivity,
        PushType::Pushtotalk => apns::PushType::PushToTalk,
        PushType::Mdm => apns::PushType::Mdm,
        PushType::Widgets => apns::PushType::Widgets,
        PushType::Controls => apns::PushType::Controls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_s_words_are_core_s() {
        for push in PushType::ALL {
            assert_eq!(push_type(push).label(), push.label());
        }
        for reason in Reason::KNOWN {
            assert_eq!(&reason_of(&apns::Reason::parse(reason.label())), reason);
        }
    }
}
