//! Init makes it all, once, and no role has a right more.

use skein_provision::Service;
use skein_tests::need;

use crate::site::{Site, counts, wrong};

#[tokio::test]
async fn twice_is_once_and_no_role_has_a_right_more() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::new("provision_made").await;
    let looked = site.broker.look(&site.cluster, &site.credentials).await.unwrap();
    assert!(!looked.is_empty());
    let user = format!("{}-sender-s0", site.cluster.prefix);
    let password = site.credentials.find(Service::RabbitMq, &user).unwrap();
    assert!(password.is_none(), "looking makes nothing");
    let first = site.init().await;
    assert!(first.len() > 50, "{first:#?}");
    let mut last = Vec::new();
    for _ in 0..3 {
        last = site.init().await;
        if last.is_empty() {
            break;
        }
    }
    assert!(last.is_empty(), "idempotent: {last:#?}");
    let findings = site.probe().await;
    assert!(wrong(&findings).is_empty(), "{:#?}", wrong(&findings));
    let counts = counts(&findings);
    assert!(counts["Refused"] > 250 && counts["Allowed"] > 60, "{counts:?}");
    // P9: no password in what is said.
    let password = site.credentials.find(Service::RabbitMq, &user).unwrap().unwrap();
    assert!(!first.iter().any(|line| line.contains(&*password)));
}

/// A sender is added later: those that are there keep their passwords and rights.
#[tokio::test]
async fn a_sender_more_changes_nothing_for_the_others() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let mut site = Site::ready("provision_more").await;
    let user = format!("{}-sender-s0", site.cluster.prefix);
    let before = site.credentials.find(Service::PostgreSql, &user).unwrap();
    site.cluster.senders = vec![skein_core::fleet::MemberId::parse("s2").unwrap()];
    let said = site.init().await;
    assert!(said.iter().all(|line| line.contains("sender-s2")), "{said:#?}");
    assert_eq!(site.credentials.find(Service::PostgreSql, &user).unwrap(), before);
    site.cluster.senders = vec!["s0", "s1", "s2"]
        .into_iter()
        .map(|name| skein_core::fleet::MemberId::parse(name).unwrap())
        .collect();
    assert!(site.init().await.is_empty());
}
