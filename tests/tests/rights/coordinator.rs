//! TLS to ZooKeeper: the tree is made and read over it.

use std::{collections::BTreeMap, time::Duration};

use skein_backends::zookeeper::{Login, Rights, Tls, ZooKeeperOptions, ZooKeeperTree, digest_of};
use skein_tests::{need, services::ZooKeeper};

use crate::{
    authority::Valid,
    encrypted::{Certificates, prove},
};

/// As long as a loaded machine may need for a connection.
const SESSION: Duration = Duration::from_secs(30);

#[tokio::test]
async fn zookeeper() {
    need!("zookeeper");
    let certificates = Certificates::new();
    let (good, expired) = tokio::join!(
        ZooKeeper::start_with_tls(certificates.server(Valid::Now)),
        ZooKeeper::start_with_tls(certificates.server(Valid::Once)),
    );
    let (good, expired) = (good.unwrap(), expired.unwrap());
    prove("ZooKeeper", &certificates, async |way, expired_server| {
        let server = if expired_server { &expired } else { &good }.tls().unwrap();
        let tls = Tls::new(way.trusted.as_bytes(), way.identity()).unwrap();
        let options = ZooKeeperOptions {
            session_timeout: SESSION,
            login: Some(Login::new("admin", "of this test")),
            tls: Some(tls),
            ..ZooKeeperOptions::new(vec![format!("{}:{}", way.host, server.port())], "/rights")
        };
        let connect = || {
            let rights = Rights::new(digest_of("admin", "of this test"), BTreeMap::new());
            ZooKeeperTree::connect(options.clone(), rights, &[])
        };
        let tree = connect();
        for node in tree.look().await.map_err(|error| error.to_string())? {
            tree.mend(&node).await.map_err(|error| error.to_string())?;
        }
        let left = connect().look().await.map_err(|error| error.to_string())?;
        assert_eq!(left, [], "what is made is there");
        Ok(())
    })
    .await;
}
