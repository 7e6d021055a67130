//! Payloads written with the `a2` crate, taken as they are (cargo feature `a2`): the JSON goes out byte for byte as `a2` would
//! have sent it, its options become ours.

use a2::request::notification::{Priority as A2Priority, PushType as A2PushType};
use a2::request::payload::PayloadLike;
use skein_core::notification::Draft;
use skein_core::{Expiration, NotificationId, Priority, PushType, Timestamp};

/// Why an `a2` payload cannot become a notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FromA2Error {
    /// It has no topic. `a2` leaves that to the certificate; Skein never guesses.
    #[error("no topic; set apns_topic in the notification's options")]
    NoTopic,
    /// Its `apns_id` is no UUIDv7.
    #[error("apns_id: {0}")]
    Id(String),
    /// It cannot be written as JSON.
    #[error("the payload cannot be written as JSON")]
    NotJson,
}

/// Takes what [`a2::Client::send`] takes. [`Draft::build`] then checks it, as any other; a badge in the payload stays as it is
/// (an absolute number), and Skein keeps no count for it.
///
/// # Errors
/// [`FromA2Error`].
pub fn draft_from_a2<P: PayloadLike>(payload: &P) -> Result<Draft, FromA2Error> {
    let options = payload.get_options();
    let topic = options.apns_topic.ok_or(FromA2Error::NoTopic)?;
    let json = payload.to_json_string().map_err(|_| FromA2Error::NotJson)?;
    let mut draft = Draft::new(payload.get_device_token(), topic).payload_json(json);
    if let Some(id) = options.apns_id {
        draft = draft.id(NotificationId::parse(id).map_err(|e| FromA2Error::Id(e.to_string()))?);
    }
    if let Some(push_type) = options.apns_push_type {
        draft = draft.push_type(match push_type {
            A2PushType::Alert => PushType::Alert,
            A2PushType::Background => PushType::Background,
            A2PushType::Location => PushType::Location,
            A2PushType::Voip => PushType::Voip,
            A2PushType::FileProvider => PushType::Fileprovider,
            A2PushType::Mdm => PushType::Mdm,
            A2PushType::LiveActivity => PushType::Liveactivity,
            A2PushType::PushToTalk => PushType::Pushtotalk,
        });
    }
    if let Some(priority) = &options.apns_priority {
        draft = draft.priority(match priority {
            A2Priority::High => Priority::Immediate,
            A2Priority::Normal => Priority::Conserve,
        });
    }
    match options.apns_expiration {
        None => {}
        Some(0) => draft = draft.expiration(Expiration::NotStored),
        Some(seconds) => {
            let at = Timestamp::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            draft = draft.expiration(Expiration::At(at));
        }
    }
    if let Some(collapse) = &options.apns_collapse_id {
        draft = draft.collapse_id(collapse.value);
    }
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use a2::request::notification::{
        CollapseId, DefaultNotificationBuilder, NotificationBuilder, NotificationOptions,
    };

    fn now() -> Timestamp {
        NotificationId::now().at()
    }

    #[test]
    fn what_a2_would_have_sent_goes_out_as_it_is() {
        let id = NotificationId::now().to_string();
        let expires = now().as_secs() + 3600;
        let options = NotificationOptions {
            apns_id: Some(&id),
            apns_push_type: Some(A2PushType::Alert),
            apns_expiration: Some(u64::try_from(expires).unwrap()),
            apns_priority: Some(A2Priority::Normal),
            apns_topic: Some("com.example.im"),
            apns_collapse_id: Some(CollapseId::new("chat-7").unwrap()),
        };
        let builder = DefaultNotificationBuilder::new().set_title("Anna").set_body("hi").set_badge(3);
        let mut payload = builder.build("0a0b", options);
        payload.add_custom_data("conversation", &"c1").unwrap();

        let built = draft_from_a2(&payload).unwrap().build(now()).unwrap();
        assert_eq!(&built.content.payload[..], payload.to_json_string().unwrap().as_bytes());
        assert_eq!(built.id.to_string(), id);
        assert_eq!(built.token.reveal_hex(), "0a0b");
        assert_eq!(&*built.content.topic, "com.example.im");
        assert_eq!(built.content.priority, Priority::Conserve);
        assert_eq!(built.content.expiration, Expiration::At(Timestamp::from_secs(expires)));
        assert_eq!(built.content.collapse_id.as_ref().unwrap().as_str(), "chat-7");
    }

    #[test]
    fn what_is_missing_is_said() {
        let payload =
            DefaultNotificationBuilder::new().set_body("hi").build("0a", NotificationOptions::default());
        assert_eq!(draft_from_a2(&payload).err(), Some(FromA2Error::NoTopic));
        let options = NotificationOptions {
            apns_topic: Some("t"),
            apns_id: Some("x"),
            ..NotificationOptions::default()
        };
        let payload = DefaultNotificationBuilder::new().set_body("hi").build("0a", options);
        assert!(matches!(draft_from_a2(&payload), Err(FromA2Error::Id(_))));
    }
}
