//! The role pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use skein_gateway::{Part, ServeOptions, pages, serve};
use tokio::net::TcpListener;

use crate::support::{ONE, call, door};

#[tokio::test]
async fn tell_life_readiness_and_metrics() {
    let door = door().await;
    let ill = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&ill);
    let router = pages(door.registry.clone(), move || {
        let ill = asked.load(Ordering::Acquire);
        async move { vec![Part::new("ledger", ill.then(|| "the ledger is away".to_owned()))] }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(listener, router, ServeOptions::default(), std::future::pending());
    tokio::spawn(serving);

    assert_eq!(call(address, "GET", "/livez", &[], b"").await.status, 200);
    assert_eq!(call(address, "GET", "/readyz", &[], b"").await.json()["ready"], true);
    ill.store(true, Ordering::Release);
    let unready = call(address, "GET", "/readyz", &[], b"").await;
    assert_eq!((unready.status, &unready.json()["parts"][0]["name"]), (503, &"ledger".into()));

    door.submit(ONE).await;
    door.submit("{").await;
    let metrics = call(address, "GET", "/metrics", &[], b"").await.body;
    for line in [
        r#"skein_gateway_requests_total{answer="ok",route="/v1/notifications"} 1"#,
        r#"skein_gateway_requests_total{answer="not_json",route="/v1/notifications"} 1"#,
        r#"skein_gateway_notifications_total{outcome="accepted",pool="enterprise"} 1"#,
        "skein_gateway_requests_open 0",
        "skein_gateway_submit_seconds_count 2",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}
