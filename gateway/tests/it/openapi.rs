//! The description of the routes is that of the routes.

use std::collections::BTreeSet;

use serde_json::Value;
use skein_gateway::{OPENAPI, ROUTES};

use crate::support::door;

fn described() -> Value {
    serde_json::from_str(OPENAPI).expect("JSON")
}

#[test]
fn describes_exactly_the_routes() {
    let json = described();
    let paths = json["paths"].as_object().expect("paths");
    let described: BTreeSet<(&str, &str)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |m| (m.as_str(), path.as_str()))
        })
        .collect();
    assert_eq!(described, ROUTES.into_iter().collect());
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    match value.as_str() {
                        Some(reference) if key == "$ref" => found.push(reference),
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let json = described();
    let mut found = Vec::new();
    walk(&json, &mut found);
    assert!(found.len() > 20);
    for reference in found {
        assert!(json.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn every_route_is_there_and_the_description_is_served() {
    let door = door().await;
    for (method, path) in ROUTES {
        let response = door.call_with(&method.to_uppercase(), path, &[], "").await;
        let expected = if path.ends_with("openapi.json") { 200 } else { 401 };
        assert_eq!(response.status, expected, "{method} {path}");
    }
    let served = door.call_with("GET", "/v1/openapi.json", &[], "").await;
    assert_eq!(served.json(), described());
}
