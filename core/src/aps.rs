//! The payload a backend writes, typed: every `aps` key Apple documents for device pushes, and the app's own keys beside it.
//!
//! Source: Apple, *Generating a remote notification* and *Starting and updating Live Activities with ActivityKit push
//! notifications*. `badge` is left to [`crate::Badge`], so that a count has one home.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A whole payload: `aps` and the app's own keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// Apple's dictionary.
    pub aps: Aps,
    /// The app's own keys, beside `aps`.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

impl Payload {
    /// A visible message with a title and a body, with the default sound.
    pub fn alert(title: impl Into<String>, body: impl Into<String>) -> Self {
        let alert = Alert { title: Some(title.into()), body: Some(body.into()), ..Alert::default() };
        let aps = Aps {
            alert: Some(AlertForm::Parts(Box::new(alert))),
            sound: Some(Sound::Name("default".into())),
            ..Aps::default()
        };
        Self { aps, custom: Map::new() }
    }

    /// The same with one of the app's own keys.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.custom.insert(key.into(), value.into());
        self
    }

    /// The JSON value.
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// Apple's `aps` dictionary. Absent fields are not written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Aps {
    /// What is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertForm>,
    /// What is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<Sound>,
    /// Groups notifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// A category that the app registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// 1 wakes the app in the background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_available: Option<u8>,
    /// 1 runs the notification service extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutable_content: Option<u8>,
    /// The window to bring forward.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_content_id: Option<String>,
    /// How urgent it is for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interruption_level: Option<InterruptionLevel>,
    /// 0 to 1; any number for Live Activities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relevance_score: Option<f64>,
    /// Matched by Focus filters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_criteria: Option<String>,
    /// Live Activity: when it is out of date, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_date: Option<i64>,
    /// Live Activity: the new state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_state: Option<Value>,
    /// Live Activity: when it was sent, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
    /// Live Activity: `start`, `update` or `end`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<ActivityEvent>,
    /// Live Activity: when it leaves the screen, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dismissal_date: Option<i64>,
    /// Live Activity start: the Swift type of the attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes_type: Option<String>,
    /// Live Activity start: the attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Value>,
    /// Live Activity start on iOS 18: 1 asks for an update token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_push_token: Option<u8>,
    /// Live Activity start on iOS 18: a channel to subscribe to, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_push_channel: Option<String>,
    /// Widgets: true reloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_changed: Option<bool>,
    /// Safari website pushes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_args: Option<Vec<String>>,
}

/// An alert: a dictionary, or a string that is the body alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AlertForm {
    /// The body alone.
    Body(String),
    /// The dictionary.
    Parts(Box<Alert>),
}

/// The `alert` dictionary.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Alert {
    /// Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Subtitle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    /// Body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Launch image or storyboard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_image: Option<String>,
    /// Key of the title in the app's strings file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_loc_key: Option<String>,
    /// What fills its `%@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title_loc_args: Option<Vec<String>>,
    /// Key of the subtitle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle_loc_key: Option<String>,
    /// What fills its `%@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle_loc_args: Option<Vec<String>>,
    /// Key of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loc_key: Option<String>,
    /// What fills its `%@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loc_args: Option<Vec<String>>,
}

/// A sound: a file's name, or the dictionary of a critical alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sound {
    /// A file in the app, or `default`.
    Name(String),
    /// A critical alert (needs an entitlement).
    Critical {
        /// 1.
        critical: u8,
        /// A file in the app, or `default`.
        name: String,
        /// 0 to 1.
        volume: f64,
    },
}

/// `interruption-level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InterruptionLevel {
    /// Into the list, without light or sound.
    Passive,
    /// At once.
    Active,
    /// At once, through Focus.
    TimeSensitive,
    /// At once, through the mute switch (needs an entitlement).
    Critical,
}

/// `event` of a Live Activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivityEvent {
    /// Starts one; carries `alert`, `attributes-type` and `attributes`.
    Start,
    /// Changes its state.
    Update,
    /// Ends it.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_apple_s_keys_and_nothing_absent() {
        let mut payload = Payload::alert("Anna", "hello").with("conversation", "c1");
        payload.aps.thread_id = Some("c1".into());
        payload.aps.interruption_level = Some(InterruptionLevel::TimeSensitive);
        let expected = serde_json::json!({
            "aps": {"alert": {"title": "Anna", "body": "hello"}, "sound": "default", "thread-id": "c1",
                    "interruption-level": "time-sensitive"},
            "conversation": "c1"});
        assert_eq!(payload.to_value(), expected);
        assert_eq!(serde_json::from_value::<Payload>(expected).unwrap(), payload);
    }
}
