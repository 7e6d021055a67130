//! What came back for one stream.

use crate::client::{Client, Event, Fields};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub id: Option<String>,
    pub unique_id: Option<String>,
    pub body: String,
}

impl Answer {
    pub fn reason(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_str(&self.body).ok()?;
        Some(body["reason"].as_str()?.to_owned())
    }

    pub fn timestamp(&self) -> Option<u64> {
        serde_json::from_str::<serde_json::Value>(&self.body).ok()?["timestamp"].as_u64()
    }
}

impl Client {
    pub fn answer(&mut self, wanted: u32) -> Answer {
        let (fields, body) = self.whole(wanted);
        let field =
            |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone());
        let answer = Answer {
            status: field(":status").expect("a status").parse().expect("a number"),
            id: field("apns-id"),
            unique_id: field("apns-unique-id"),
            body,
        };
        if !answer.body.is_empty() {
            assert_eq!(field("content-type").as_deref(), Some("application/json"));
        }
        answer
    }

    /// Headers and body of a stream whose body comes in one frame, if at all.
    pub fn whole(&mut self, wanted: u32) -> (Fields, String) {
        let (fields, end) = self.wait(|event| match event {
            Event::Headers { stream, fields, end } if *stream == wanted => Some((fields.clone(), *end)),
            _ => None,
        });
        let body = |event: &Event| match event {
            Event::Data { stream, body, end: true } if *stream == wanted => Some(body.clone()),
            _ => None,
        };
        let body = if end { String::new() } else { self.wait(body) };
        (fields, body)
    }
}
