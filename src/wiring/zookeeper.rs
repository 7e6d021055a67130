//! From the configuration to how ZooKeeper is reached.

use skein_backends::zookeeper::{Login, ZooKeeperOptions};
use skein_config::Config;

/// How ZooKeeper is reached; `None` if `coordinator.servers` names none.
pub fn options(config: &Config) -> Option<ZooKeeperOptions> {
    let coordinator = &config.coordinator;
    let login = coordinator.username.as_ref().zip(coordinator.password.as_ref());
    Some(ZooKeeperOptions {
        session_timeout: coordinator.session_timeout,
        server_tick: coordinator.server_tick,
        backoff: (coordinator.backoff_min, coordinator.backoff_max),
        login: login.map(|(user, password)| Login::new(user, password.expose())),
        ..ZooKeeperOptions::new(coordinator.servers.clone()?, coordinator.chroot.clone())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use skein_config::Sources;

    use super::*;

    #[test]
    fn the_drivers_defaults_are_those_of_the_configuration() {
        assert!(options(&Config::default()).is_none(), "without servers there is no control plane");
        let flags =
            vec!["coordinator.servers=zk-1,zk-2:2182".to_owned(), "coordinator.username=skein".to_owned()];
        let environment = BTreeMap::from([("SKEIN_COORDINATOR__PASSWORD".to_owned(), "hunter2".to_owned())]);
        let loaded = Config::load(&Sources { flags, environment, ..Sources::default() });
        let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
        let read = options(&config).expect("servers are named");
        let plain = ZooKeeperOptions::new(vec!["zk-1".into(), "zk-2:2182".into()], "/skein");
        let expected = ZooKeeperOptions { login: Some(Login::new("skein", "")), ..plain };
        // `Debug` shows everything but the password.
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    }
}
