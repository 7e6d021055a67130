//! The transport seam over the APNs client: one client a pool and shard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use skein_apns as apns;
use skein_core::answer::{Answer, Evidence, InDoubt, NotSent, Reply};
use skein_core::seam::{Answered, Transport, Write};
use skein_core::{Expiration, Priority, PushType, Reason, Timestamp};

/// While there is no connection, how often the transport looks whether there is one.
const CONNECT_LOOK: Duration = Duration::from_millis(10);

/// The transport of one pool on one shard.
pub struct ApnsTransport {
    client: apns::Client,
    answered: Vec<apns::connection::Answered>,
    returned: Vec<Answered>,
}

impl ApnsTransport {
    /// Over a client; it connects by itself.
    pub fn new(client: apns::Client) -> Self {
        Self { client, answered: Vec::new(), returned: Vec::new() }
    }
}

impl Transport for ApnsTransport {
    fn room(&self) -> usize {
        if self.client.is_connected() { self.client.room() } else { 0 }
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
        if let Err(request) = self.client.write(request) {
            // Room was asked for before: only a client that is being drained refuses.
            self.returned.push(Answered {
                key: request.key,
                answer: Answer::NotSent(NotSent::NeverWritten),
                evidence: Evidence::default(),
            });
        }
    }

    async fn progress(&mut self, answers: &mut Vec<Answered>) {
        if self.returned.is_empty() {
            let unconnected = !self.client.is_connected();
            tokio::select! {
                () = self.client.progress(&mut self.answered) => {}
                () = tokio::time::sleep(CONNECT_LOOK), if unconnected => {}
            }
        }
        answers.append(&mut self.returned);
        answers.extend(self.answered.drain(..).map(|(key, answer)| {
            let evidence = evidence(answer.evidence());
            Answered { key, answer: translate(answer), evidence }
        }));
    }

    fn trouble(&self) -> Option<String> {
        if self.client.is_connected() {
            return None;
        }
        self.client.status().last_failure.map(|last| format!("{}: {}", last.failure.label(), last.detail))
    }
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
