//! The monitor's settings: where it listens and asks, and how the plan is to behave.

use crate::secret::Secret;
use crate::service_url::ServiceUrl;
use crate::values::section;
use std::net::SocketAddr;
use std::time::Duration;

section! {
    /// `[monitor]`.
    Monitor {
        /// Its name; the host's if absent.
        name: Option<String>,
        /// Address of the fleet's API.
        listen: SocketAddr,
        /// RabbitMQ's management API.
        management_url: Option<ServiceUrl>,
        /// The user there; the broker's if absent.
        username: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// The virtual host of the broker's events.
        events_vhost: String,
        /// How often figures are read.
        figures_every: Duration,
        /// The numbers of the plan.
        policy: Policy,
    }
}

section! {
    /// `[monitor.policy]`.
    Policy {
        /// For a restart in place.
        restart_grace: Duration,
        /// After the broker came back.
        broker_debounce: Duration,
        /// After a sender came.
        join_debounce: Duration,
        /// Share that may be lost at once, in percent.
        half_gone_percent: u32,
        /// What *at once* is.
        half_gone_window: Duration,
        /// Share of the mean from which on balance acts, in percent.
        balance_act_percent: u32,
        /// After how long.
        balance_act_after: Duration,
        /// Down to which share, in percent; less than what it acts at.
        balance_stop_percent: u32,
        /// Most moves at once.
        balance_moves_max: u32,
        /// Least weight of a queue.
        balance_queue_floor: u32,
        /// Losses without back-off.
        flap_losses_max: u32,
        /// How long a loss counts.
        flap_window: Duration,
        /// First back-off.
        flap_backoff_first: Duration,
        /// Longest back-off; not less than the first.
        flap_backoff_max: Duration,
        /// Cut off from APNs for so long.
        apns_cut_after: Duration,
        /// Leaving for so long.
        release_slow_after: Duration,
        /// Leaving for so long, it is seized.
        release_seize_after: Duration,
    }
}
