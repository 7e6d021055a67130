//! One notification from the arguments, as the JSON that a backend would send.

use std::fs;

use serde_json::{Map, Value, json};

use crate::args::Submit;
use crate::exit::Failure;

/// The body.
pub fn body(arguments: &Submit) -> Result<String, Failure> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::from);
    put("id", text(&arguments.id));
    put("token", text(&arguments.token));
    put("topic", text(&arguments.topic));
    put("push_type", text(&arguments.push_type));
    put("priority", arguments.priority.map(Value::from));
    put("expires_at", arguments.expires_at.as_ref().map(|t| if t == "0" { json!(0) } else { json!(t) }));
    put("collapse_id", text(&arguments.collapse_id));
    put("user", text(&arguments.user));
    put("app", text(&arguments.app));
    put("ref", text(&arguments.reference));
    put("badge", arguments.badge_set.map(|n| json!({"set": n})));
    put("badge", arguments.badge_add.map(|n| json!({"add": n})));
    put("payload", Some(payload(arguments)?));
    Ok(Value::Object(fields).to_string())
}

fn payload(arguments: &Submit) -> Result<Value, Failure> {
    if let Some(given) = &arguments.payload {
        let read;
        let text = match given.strip_prefix('@') {
            None => given,
            Some(path) => {
                read = fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("cannot read the payload in {path}: {error}")))?;
                &read
            }
        };
        return serde_json::from_str(text)
            .map_err(|error| Failure::Usage(format!("--payload is no JSON: {error}")));
    }
    let mut alert = Map::new();
    for (name, text) in [("title", &arguments.title), ("body", &arguments.body)] {
        if let Some(text) = text {
            alert.insert(name.to_owned(), text.as_str().into());
        }
    }
    if alert.is_empty() {
        return Err(Failure::Usage("there is nothing to say; give --title, --body or --payload".to_owned()));
    }
    Ok(json!({"aps": {"alert": alert}}))
}
