//! The header fields of a sound request, and how a test changes them.

use crate::client::bearer;

pub type Fields = Vec<(String, String)>;

/// The fields of a good request, which a test then spoils.
pub fn fields(token: &str) -> Fields {
    let path = format!("/3/device/{token}");
    let bearer = bearer();
    [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", &path),
        ("authorization", &bearer),
        ("apns-topic", "com.example.im"),
        ("apns-push-type", "alert"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

pub fn with(mut fields: Fields, name: &str, value: &str) -> Fields {
    fields.retain(|(other, _)| other != name);
    fields.push((name.to_owned(), value.to_owned()));
    fields
}

pub fn without(mut fields: Fields, name: &str) -> Fields {
    fields.retain(|(other, _)| other != name);
    fields
}
