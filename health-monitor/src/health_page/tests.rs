use std::sync::Arc;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper_util::service::TowerToHyperService;

use super::{Shows, document, fixture, routes};
use crate::api::{Fleet, History};

struct Fixture;

impl Shows for Fixture {
    fn fleet(&self) -> Arc<Fleet> {
        Arc::new(fixture::fleet())
    }

    fn history(&self) -> History {
        fixture::history()
    }
}

async fn get(path: &str) -> (axum::http::HeaderMap, String) {
    let service = TowerToHyperService::new(routes(Arc::new(Fixture)));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = hyper::service::Service::call(&service, request).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    let headers = answer.headers().clone();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn nothing_comes_from_elsewhere() {
    let (headers, page) = get("/").await;
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    for (at, _) in page.match_indices("src=\"").chain(page.match_indices("href=\"")) {
        let path = page[at..].split('"').nth(1).unwrap();
        assert!(path.starts_with("/page/") || path == "/v1/fleet", "{path}");
        if path.starts_with("/page/") {
            get(path).await;
        }
    }
    assert!(!page.contains("style=") && !page.contains("onclick"), "the policy forbids what stands inline");
}

#[tokio::test]
async fn the_parts_are_those_of_the_page() {
    let ((_, page), (_, parts)) = (get("/").await, get("/page/parts").await);
    assert!(page.contains(parts.trim_end()), "what replaces the parts is what was served first");
    for part in ["monitor", "glance", "charts", "senders", "queues", "credentials", "plan"] {
        assert_eq!(parts.matches(&format!("data-part=\"{part}\"")).count(), 1, "{part}");
    }
}

/// P9: what a host or an answer calls itself is text, whatever it is.
#[test]
fn nothing_from_outside_is_markup() {
    let page = document::whole(&fixture::fleet(), &fixture::history());
    assert!(!page.contains("<script>alert") && !page.contains("<b>host"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("&lt;b&gt;host"));
}

#[test]
fn alarms_come_first_and_every_table_has_heads() {
    let page = document::whole(&fixture::fleet(), &fixture::history());
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
    assert!(at("Critical: owner gone") < at("class=\"chart\"") && at("class=\"chart\"") < at("data-sender="));
    assert_eq!(page.matches("<table").count(), page.matches("<thead>").count());
    assert!(!page.contains("<th>"), "each head says whose it is");
    assert!(page.contains("data-queue=\"im.q1\" data-owner=\"sender-2\""));
    assert!(page.contains("aria-live=\"polite\"") && page.contains("<title>(1) Skein: 1 alarm</title>"));
    assert!(page.contains("im.q1: owner gone\">q1 !</span>"), "a sign tells it, not the colour alone");
}

#[test]
fn an_empty_fleet_has_a_page() {
    let page = document::whole(&Fleet::default(), &History::default());
    for text in ["All well", "No sender is there", "No queue is known", "not known", "Nothing is to be moved"]
    {
        assert!(page.contains(text), "no {text:?} in {page}");
    }
}
