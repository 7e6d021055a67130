//! From the configuration to how ZooKeeper is reached.

use skein_backends::zookeeper::{Login, Tls, ZooKeeperOptions};
use skein_config::{Config, TlsMode};

use crate::exit::Failure;

/// How ZooKeeper is reached; `None` if `coordinator.servers` names none.
///
/// # Errors
/// When the files of `coordinator.tls` cannot be used.
pub fn options(config: &Config) -> Result<Option<ZooKeeperOptions>, Failure> {
    let coordinator = &config.coordinator;
    let Some(servers) = coordinator.servers.clone() else { return Ok(None) };
    let login = coordinator.username.as_ref().zip(coordinator.password.as_ref());
    let tls = tls(config).map_err(|error| Failure::Usage(format!("coordinator.tls: {error:#}")))?;
    Ok(Some(ZooKeeperOptions {
        session_timeout: coordinator.session_timeout,
        server_tick: coordinator.server_tick,
        backoff: (coordinator.backoff_min, coordinator.backoff_max),
        login: login.map(|(user, password)| Login::new(user, password.expose())),
        tls,
        ..ZooKeeperOptions::new(servers, coordinator.chroot.clone())
    }))
}

fn tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let tls = &config.coordinator.tls;
    if tls.mode == TlsMode::Off {
        return Ok(None);
    }
    let (roots, client) = super::tls_files("coordinator.tls", &tls.ca_file, &tls.cert_file, &tls.key_file)?;
    let client = client.as_ref().map(|(chain, key)| (chain.as_slice(), key.as_slice()));
    Ok(Some(Tls::new(&roots, client)?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use skein_config::Sources;

    use super::*;

    #[test]
    fn the_drivers_defaults_are_those_of_the_configuration() {
        assert!(
            options(&Config::default()).is_ok_and(|none| none.is_none()),
            "without servers there is no control plane"
        );
        let flags =
            vec!["coordinator.servers=zk-1,zk-2:2182".to_owned(), "coordinator.username=skein".to_owned()];
        let environment = BTreeMap::from([("SKEIN_COORDINATOR__PASSWORD".to_owned(), "hunter2".to_owned())]);
        let loaded = Config::load(&Sources { flags, environment, ..Sources::default() });
        let config = loaded.unwrap_or_else(|faults| panic!("{faults}")).config;
        let Ok(Some(read)) = options(&config) else { panic!("servers are named") };
        let plain = ZooKeeperOptions::new(vec!["zk-1".into(), "zk-2:2182".into()], "/skein");
        let expected = ZooKeeperOptions { login: Some(Login::new("skein", "")), ..plain };
        // `Debug` shows everything but the password.
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    }
}
