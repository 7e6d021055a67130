//! Rights that are too wide are found by the probe, and taken back by init.

use skein_backends::zookeeper::{Answer, Attempt, Deed, attempt};
use skein_tests::need;

use crate::site::{Site, forbidden, wrong};

#[tokio::test]
async fn what_is_too_wide_is_found_and_taken_back() {
    need!("rabbitmq", "zookeeper", "postgresql");
    let site = Site::ready("provision_planted").await;
    let (prefix, vhost) = (&site.cluster.prefix, &site.cluster.vhost);
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    let sender = format!("permissions/{vhost}/{prefix}-sender-s0");
    site.rabbitmq.manage("PUT", &sender, Some(all)).await.unwrap();
    let elsewhere = format!("permissions/%2f/{prefix}-producer-chat");
    site.rabbitmq.manage("PUT", &elsewhere, Some(all)).await.unwrap();
    let grants = [
        format!("GRANT DELETE ON skein.final TO \"{prefix}-rights-sender\""),
        format!("GRANT SELECT (token_sealed) ON skein.device TO \"{prefix}-support\""),
        "GRANT EXECUTE ON FUNCTION skein.make_day(int4) TO PUBLIC".to_owned(),
        format!("ALTER ROLE \"{prefix}-gateway\" CREATEROLE"),
        // What a version before made: a login of the monitors' that reads verdicts.
        format!("CREATE ROLE \"{prefix}-rights-monitor\""),
        format!("CREATE ROLE \"{prefix}-monitor\" LOGIN IN ROLE \"{prefix}-rights-monitor\""),
        format!("GRANT USAGE ON SCHEMA skein TO \"{prefix}-rights-monitor\""),
        format!("GRANT SELECT ON skein.final TO \"{prefix}-rights-monitor\""),
    ];
    for grant in grants {
        site.postgresql.query(&site.database, &grant).await.unwrap();
    }
    let found = forbidden(&site.probe().await);
    for planted in [
        "sender-s0: publish to exchange skein.im",
        "sender-s0: delete queue skein.im.q99999",
        "producer-chat: enter the events' virtual host /",
        "sender-s1: DELETE FROM final WHERE false",
        "support: SELECT token_sealed FROM device LIMIT 0",
        "support: SELECT make_day(0)",
        "gateway: CREATE ROLE \"zz-probe\"",
    ] {
        assert!(found.iter().any(|line| line.contains(planted)), "{planted}: {found:#?}");
    }
    let said = site.init().await;
    assert!(!said.is_empty());
    assert!(site.init().await.is_empty(), "once is enough");
    let findings = site.probe().await;
    assert!(wrong(&findings).is_empty(), "{:#?}", wrong(&findings));
    let left = format!(
        "SELECT rolcanlogin::text || has_table_privilege(oid, 'skein.final', 'SELECT') FROM pg_roles WHERE rolname = '{prefix}-monitor'"
    );
    let left = site.postgresql.query(&site.database, &left).await.unwrap();
    assert_eq!(left[0][0].as_deref(), Some("falsefalse"), "no login and no right of the monitors'");
}

/// A tree that was made without rights, as ZooKeeper leaves it: anybody's. Init closes it.
#[tokio::test]
async fn an_open_tree_is_closed() {
    need!("rabbitmq", "zookeeper", "postgresql");
    use skein_backends::zookeeper::ZooKeeperFleet;
    use skein_core::seam::FleetStore as _;
    let site = Site::new("provision_open").await;
    let store = ZooKeeperFleet::connect(site.zookeeper.clone(), "tests");
    store.init().await.unwrap();
    store.seed(&site.cluster.pools[0].name, crate::site::QUEUES, 100).await.unwrap();
    let write = [Attempt { deed: Deed::Write, path: "/queues/im.q0".into() }];
    let answers = attempt(site.zookeeper.clone(), &write).await.unwrap();
    assert_eq!(answers, [Answer::Allowed], "the probe can tell");
    while !site.init().await.is_empty() {}
    let answers = attempt(site.zookeeper.clone(), &write).await.unwrap();
    assert_eq!(answers, [Answer::Refused]);
    let findings = site.probe().await;
    assert!(wrong(&findings).is_empty(), "{:#?}", wrong(&findings));
}
