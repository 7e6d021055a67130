//! What came back for one stream.

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
