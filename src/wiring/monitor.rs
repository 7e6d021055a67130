//! From the configuration to a monitor's options.

use std::sync::Arc;

use skein_backends::clock::SystemClock;
use skein_config::{Config, ServiceUrl};
use skein_core::fleet::Policy;
use skein_health_monitor::rabbitmq::{ManagementOptions, ManagementUrl, RabbitWatch, WatchOptions};

use crate::exit::Failure;

/// Ports of a management address that names none.
const MANAGEMENT_PORT: u16 = 15672;
const MANAGEMENT_TLS_PORT: u16 = 15671;

/// A monitor's name in the row of monitors: the setting, or the host's name.
pub fn name(config: &Config) -> String {
    config
        .monitor
        .name
        .clone()
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

/// The numbers of the plan.
pub fn policy(config: &Config) -> Policy {
    let policy = &config.monitor.policy;
    Policy {
        restart_grace: policy.restart_grace,
        broker_debounce: policy.broker_debounce,
        join_debounce: policy.join_debounce,
        half_gone_percent: policy.half_gone_percent,
        half_gone_window: policy.half_gone_window,
        balance_act_percent: policy.balance_act_percent,
        balance_act_after: policy.balance_act_after,
        balance_stop_percent: policy.balance_stop_percent,
        balance_moves_max: policy.balance_moves_max,
        balance_queue_floor: policy.balance_queue_floor,
        flap_losses_max: policy.flap_losses_max,
        flap_window: policy.flap_window,
        flap_backoff_first: policy.flap_backoff_first,
        flap_backoff_max: policy.flap_backoff_max,
        apns_cut_after: policy.apns_cut_after,
        release_slow_after: policy.release_slow_after,
        release_seize_after: policy.release_seize_after,
    }
}

/// Begins to watch the broker. Must be called within a runtime.
pub fn watch(config: &Config) -> Result<RabbitWatch, Failure> {
    let events = Config {
        broker: skein_config::Broker { vhost: config.monitor.events_vhost.clone(), ..config.broker.clone() },
        ..config.clone()
    };
    let options = WatchOptions {
        link: super::link(&events, "skein-monitor")?,
        management: management(config)?,
        figures_every: config.monitor.figures_every,
        backoff: (config.broker.backoff_min, config.broker.backoff_max),
    };
    Ok(RabbitWatch::start(options, SystemClock))
}

/// The management API with its login; `None` if the configuration names none.
pub fn management(config: &Config) -> Result<Option<ManagementOptions>, Failure> {
    let monitor = &config.monitor;
    let Some(url) = &monitor.management_url else { return Ok(None) };
    let own = monitor.username.as_ref();
    let username = own.or(config.broker.username.as_ref()).cloned().unwrap_or_default();
    let password = if own.is_some() { &monitor.password } else { &config.broker.password };
    let password = password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
    Ok(Some(ManagementOptions {
        tls: tls(config, url)
            .map_err(|error| Failure::Usage(format!("monitor.management_url: {error:#}")))?,
        url: management_url(url),
        username,
        password: password.into(),
        vhost: config.broker.vhost.clone(),
    }))
}

fn management_url(url: &ServiceUrl) -> ManagementUrl {
    let tls = url.scheme == "https";
    let port = url.port.unwrap_or(if tls { MANAGEMENT_TLS_PORT } else { MANAGEMENT_PORT });
    ManagementUrl { tls, host: url.host.clone(), port }
}

fn tls(config: &Config, url: &ServiceUrl) -> anyhow::Result<Option<Arc<rustls::ClientConfig>>> {
    if url.scheme != "https" {
        return Ok(None);
    }
    super::broker_tls(config).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_defaults_are_those_of_the_configuration() {
        assert_eq!(policy(&Config::default()), Policy::default());
    }
}
