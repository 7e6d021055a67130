//! One AMQP message: body, routing, properties.

use std::sync::Arc;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use skein_core::id::NotificationKey;
use skein_core::notification::Fault;
use skein_core::wire::{
    BATCH_V1, BCC_HEADER, BODY_BYTES_MAX, CONTENT_TYPE, NOTIFICATION_V1, REPEAT_HEADER, encode, encode_batch,
};
use skein_core::{NotificationId, SLOTS, Slot};
use smallvec::SmallVec;

use crate::plan::Group;

/// A message as it goes out, however often.
pub(crate) struct Envelope {
    pub(crate) exchange: Arc<str>,
    pub(crate) slot: Slot,
    /// The other slots of a batch.
    others: Vec<Slot>,
    kind: &'static str,
    pub(crate) body: Bytes,
    /// A batch has its first item's.
    id: NotificationId,
    at_seconds: u64,
    /// Hashes of its device tokens, each once.
    pub(crate) tokens: SmallVec<[u64; 1]>,
    pub(crate) keys: SmallVec<[NotificationKey; 1]>,
}

impl Envelope {
    /// Writes a group of one content for an exchange.
    pub(crate) fn seal(exchange: Arc<str>, group: &Group) -> Result<Self, Fault> {
        let notifications = &group.notifications;
        let first = notifications.first().ok_or_else(|| Fault::new("items", "none"))?;
        let (kind, body) = match notifications.len() {
            1 => (NOTIFICATION_V1, encode(first)),
            _ => (BATCH_V1, encode_batch(notifications)),
        };
        let body = body.map_err(|_| Fault::new("payload", "not JSON; send {\"aps\":{…}}"))?;
        if body.len() > BODY_BYTES_MAX {
            let size = body.len();
            return Err(Fault::new("body", format!("{size} bytes; at most {BODY_BYTES_MAX}")));
        }
        let mut tokens: SmallVec<[u64; 1]> = group.hashes.iter().copied().collect();
        tokens.sort_unstable();
        tokens.dedup();
        let slot = first.slot();
        let mut others: Vec<Slot> =
            tokens.iter().filter_map(|hash| Slot::new((hash % u64::from(SLOTS)) as u16)).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|other| *other != slot);
        let at = first.content.submitted_at.unwrap_or_else(|| first.id.at());
        Ok(Self {
            exchange,
            slot,
            others,
            kind,
            body: body.into(),
            id: first.id,
            at_seconds: u64::try_from(at.as_millis() / 1000).unwrap_or(0),
            tokens,
            keys: notifications.iter().map(|n| n.key()).collect(),
        })
    }

    /// Whether a returned message with this `message_id` is this one.
    pub(crate) fn has_id(&self, message_id: &str) -> bool {
        NotificationId::parse(message_id).is_ok_and(|id| id == self.id)
    }

    /// Whether parts of it can be in several queues, so that a nack leaves open what was accepted.
    pub(crate) fn is_batch(&self) -> bool {
        self.keys.len() > 1
    }

    /// The AMQP properties. Never a priority: RabbitMQ 4 honours it on quorum queues, and that breaks the order.
    pub(crate) fn properties(&self, repeat: bool, app_id: Option<&str>) -> BasicProperties {
        let mut headers = FieldTable::default();
        if repeat {
            headers.insert(REPEAT_HEADER.into(), AMQPValue::Boolean(true));
        }
        if !self.others.is_empty() {
            let keys = self.others.iter().map(|s| AMQPValue::LongString(s.number().to_string().into()));
            headers
                .insert(BCC_HEADER.into(), AMQPValue::FieldArray(FieldArray::from(keys.collect::<Vec<_>>())));
        }
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_type(self.kind.into())
            .with_message_id(self.id.to_string().into())
            .with_delivery_mode(2)
            .with_timestamp(self.at_seconds);
        let properties = match app_id {
            Some(app_id) => properties.with_app_id(app_id.into()),
            None => properties,
        };
        if repeat || !self.others.is_empty() { properties.with_headers(headers) } else { properties }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_core::{Notification, aps::Payload, notification::Draft};

    fn sealed(tokens: &[String]) -> Envelope {
        let devices = tokens.iter().map(|t| (t.clone(), None));
        let built: Vec<Notification> = Draft::new("", "com.example.im")
            .payload(&Payload::alert("a", "b"))
            .build_for(devices, NotificationId::now().at())
            .unwrap();
        let group = crate::plan::plan(built).remove(0);
        Envelope::seal("skein.im".into(), &group).unwrap()
    }

    #[test]
    fn a_batch_lists_every_other_slot_once() {
        let tokens: Vec<String> = (0..900_u32).map(|n| format!("{:08x}", n % 600)).collect();
        let envelope = sealed(&tokens);
        assert_eq!(envelope.tokens.len(), 600);
        let properties = envelope.properties(false, None);
        let headers = properties.headers().clone().unwrap();
        let Some(AMQPValue::FieldArray(keys)) = headers.inner().get(BCC_HEADER) else { panic!("no BCC") };
        let mut slots: Vec<u16> = keys
            .as_slice()
            .iter()
            .map(|k| crate::link::header_text(k).unwrap().parse().unwrap())
            .chain([envelope.slot.number()])
            .collect();
        slots.sort_unstable();
        let mut wanted: Vec<u16> =
            tokens.iter().map(|t| Slot::of(&skein_core::DeviceToken::parse(t).unwrap()).number()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(slots, wanted);
    }

    #[test]
    fn properties_of_the_wire_contract() {
        let envelope = sealed(&["ab".to_owned()]);
        let plain = envelope.properties(false, None);
        assert_eq!(plain.kind().as_ref().unwrap().as_str(), NOTIFICATION_V1);
        assert_eq!(plain.delivery_mode(), &Some(2));
        assert_eq!(plain.priority(), &None, "P2: a priority breaks the order");
        assert!(plain.headers().is_none());
        assert!(plain.app_id().is_none());
        let repeat = envelope.properties(true, Some("front"));
        assert!(repeat.headers().as_ref().unwrap().contains_key(REPEAT_HEADER), "P3");
        assert_eq!(repeat.app_id().as_ref().unwrap().as_str(), "front");
        assert!(envelope.has_id(repeat.message_id().as_ref().unwrap().as_str()));
    }
}
