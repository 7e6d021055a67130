//! A deployment on real services, made by what `skein cluster init` does: nothing is found on it; then each misconfiguration is planted
//! for real, named, and mended.

mod apns;
mod broker;
mod coordinator;
mod ledger;
mod site;

use std::time::Instant;

use serde_json::json;
use skein_test_site::run::commit;
use skein_tests::{figures, need};

use crate::site::Site;

/// Row `doctor`: `runs` misconfigurations, of which `failed` were not named.
#[tokio::test]
async fn each_misconfiguration_is_named_and_nothing_else() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let began = Instant::now();
    let mut site = Site::ready().await;
    site.is_fine().await;
    broker::plant(&mut site).await;
    coordinator::plant(&mut site).await;
    ledger::plant(&mut site).await;
    apns::plant(&mut site).await;
    site.is_fine().await;
    let (runs, failed) = (site.planted, site.unnamed.len());
    let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let row = json!({"row": "doctor", "runs": runs, "failed": failed, "lost": 0, "inversions": 0,
        "seconds": seconds, "commit": commit()});
    figures::append("operations", &row).unwrap();
    assert!(site.unnamed.is_empty(), "{:#?}", site.unnamed);
    assert!(runs >= 20, "{runs} planted");
}
