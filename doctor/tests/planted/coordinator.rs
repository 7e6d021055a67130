//! What can be wrong at ZooKeeper.

use skein_tests::ports::Port;
use zookeeper_client::{Acls, Client};

use crate::site::{ADMIN, Site};

const HOLDS: &str = "zookeeper.holds";

pub async fn plant(site: &mut Site) {
    let login = format!("{}:{}", ADMIN.0, ADMIN.1);
    let connector = Client::connector().with_auth("digest", login.as_bytes());
    let client = connector.connect(&site.zookeeper.to_string()).await.unwrap();
    let client = client.chroot(site.chroot()).unwrap();

    client.set_acl("/queues/im.q0", &Acls::anyone_all(), None).await.unwrap();
    site.named(HOLDS, "node /queues/im.q0: not as it must be (rights)").await;
    site.init().await;

    client.delete("/quarantines", None).await.unwrap();
    site.named(HOLDS, "node /quarantines: missing").await;
    site.init().await;

    let mut deployment = site.deployment();
    let nobody = Port::claim();
    if let Some(zookeeper) = &mut deployment.zookeeper {
        zookeeper.servers.push(format!("127.0.0.1:{}", nobody.number()));
    }
    site.named_in(&deployment, "zookeeper.servers", "does not answer").await;
}
