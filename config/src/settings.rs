//! The settings as the rest of Skein takes them. What each means, its unit, bound and why stand in `default.toml`
//! under the same key; here are only the types.

use crate::api_keys::ApiKey;
use crate::byte_size::ByteSize;
use crate::log::{Log, Traces};
use crate::monitor::Monitor;
use crate::pool::Pool;
use crate::secret::{Key32, Secret};
use crate::service_url::ServiceUrl;
use crate::values::{choice, section};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

section! {
    /// Every setting.
    Config {
        /// What carries and stores.
        engine: Engine,
        /// What is written to standard error.
        log: Log,
        /// The role pages.
        http: Http,
        /// Where traces go.
        traces: Traces,
        /// The HTTP front door.
        gateway: Gateway,
        /// The engine of one machine.
        embedded: Embedded,
        /// RabbitMQ.
        broker: Broker,
        /// ZooKeeper.
        coordinator: Coordinator,
        /// PostgreSQL.
        ledger: Ledger,
        /// The sending process.
        sender: Sender,
        /// The watching process.
        monitor: Monitor,
        /// When to write again.
        retry: Retry,
        /// Every pool by its name; may be empty (see [`Loaded::require_pool`](crate::Loaded::require_pool)).
        pools: BTreeMap<String, Pool>,
        /// Which queues this sender owns.
        ownership: Ownership,
    }
}

impl Config {
    /// Which queues a sender owns: what is set, or what the coordinator's servers mean.
    #[must_use]
    pub fn ownership_mode(&self) -> OwnershipMode {
        let fleet = self.coordinator.servers.is_some() && self.engine == Engine::Cluster;
        let otherwise = if fleet { OwnershipMode::Fleet } else { OwnershipMode::All };
        self.ownership.mode.unwrap_or(otherwise)
    }
}

choice! {
    /// What carries and stores.
    Engine {
        /// One process, one SQLite file.
        Embedded = "embedded",
        /// RabbitMQ and PostgreSQL; [`Broker::urls`] and [`Ledger::url`] are set.
        Cluster = "cluster",
    }
}

section! {
    /// `[http]`.
    Http {
        /// Address of the role pages.
        listen: SocketAddr,
    }
}

section! {
    /// `[gateway]`.
    Gateway {
        /// Address of the front door.
        listen: SocketAddr,
        /// Who may submit, read from `gateway.api_keys_file`; `None` if no file is named.
        api_keys: Option<Vec<ApiKey>>,
        /// Largest request body.
        max_body: ByteSize,
        /// Most notifications in one request.
        items_max: NonZeroU32,
        /// Most requests open at once.
        requests_max: NonZeroU32,
        /// Notifications a second for one key.
        rate_max: NonZeroU32,
        /// Notifications above the rate for one key at once.
        rate_burst: NonZeroU32,
        /// Longest wait for the engine's confirmation.
        request_deadline: Duration,
        /// How long an Idempotency-Key is remembered.
        idempotency_keep: Duration,
        /// Most Idempotency-Keys remembered.
        idempotency_keys_max: usize,
        /// TLS of the front door.
        tls: GatewayTls,
    }
}

section! {
    /// `[gateway.tls]`: both are set or none.
    GatewayTls {
        /// Certificate chain, PEM.
        cert_file: Option<PathBuf>,
        /// Private key, PEM.
        key_file: Option<PathBuf>,
    }
}

section! {
    /// `[embedded]`.
    Embedded {
        /// The database file.
        path: PathBuf,
        /// SQLite's synchronous mode.
        synchronous: Synchronous,
        /// Most bytes of waiting notifications.
        queue_bytes_max: ByteSize,
        /// Least free bytes on the disk.
        disk_free_min: ByteSize,
        /// Most rows in one commit.
        batch_rows_max: usize,
    }
}

choice! {
    /// SQLite's synchronous mode; none that can lose what was confirmed.
    Synchronous {
        /// `FULL`.
        Full = "full",
        /// `EXTRA`.
        Extra = "extra",
    }
}

section! {
    /// `[broker]`.
    Broker {
        /// Nodes, tried in turn; set when the engine is `cluster`.
        urls: Option<Vec<ServiceUrl>>,
        /// The virtual host.
        vhost: String,
        /// The user.
        username: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// TLS, for `amqps`.
        tls: ClientTls,
        /// AMQP heartbeat.
        heartbeat: Duration,
        /// Longest wait for one node.
        connect_timeout: Duration,
        /// First pause before connecting again.
        backoff_min: Duration,
        /// Longest pause before connecting again; not less than the first.
        backoff_max: Duration,
        /// Unacked deliveries a queue.
        prefetch: NonZeroU16,
        /// Queues of a pool, unless the pool says otherwise.
        queues: NonZeroU16,
        /// Most bytes in one queue.
        queue_bytes_max: ByteSize,
        /// Most unconfirmed publishes on one channel.
        publish_window: NonZeroU32,
        /// Longest wait for one confirmation.
        confirm_timeout: Duration,
    }
}

section! {
    /// `[coordinator]`.
    Coordinator {
        /// Servers, `host` or `host:port`; without any there is no ZooKeeper.
        servers: Option<Vec<String>>,
        /// The path that holds everything of this cluster.
        chroot: String,
        /// Silence after which a process counts as gone.
        session_timeout: Duration,
        /// `tickTime` of the servers.
        server_tick: Duration,
        /// First pause before connecting again.
        backoff_min: Duration,
        /// Longest pause before connecting again; not less than the first.
        backoff_max: Duration,
        /// The user whose nodes they are.
        username: Option<String>,
        /// The user's password; set exactly when the user is.
        password: Option<Secret>,
        /// TLS towards the servers.
        tls: ServiceTls,
    }
}

section! {
    /// `[broker.tls]`: certificate and key are both set or none.
    ClientTls {
        /// Roots to trust, PEM.
        ca_file: Option<PathBuf>,
        /// Client certificate chain, PEM.
        cert_file: Option<PathBuf>,
        /// Private key of the client certificate, PEM.
        key_file: Option<PathBuf>,
    }
}

section! {
    /// `[ledger]`.
    Ledger {
        /// The database; set when the engine is `cluster`.
        url: Option<ServiceUrl>,
        /// The user.
        username: Option<String>,
        /// The user's password.
        password: Option<Secret>,
        /// TLS towards the database.
        tls: ServiceTls,
        /// Connections of one process.
        connections: NonZeroU32,
        /// Longest wait for a connection.
        connect_timeout: Duration,
        /// Most rows in one group commit.
        batch_rows_max: usize,
        /// Longest hold of an item that needs a look-up while the database is away.
        away_hold: Duration,
        /// How long facts are kept; a whole number of days is kept for a part of a day.
        retention: Duration,
        /// Key of the device tokens' fingerprints; set when the engine is `cluster`.
        fingerprint_key: Option<Key32>,
        /// Key that encrypts parked bodies and stored device tokens.
        parking_key: Option<Key32>,
    }
}

section! {
    /// `[coordinator.tls]` and `[ledger.tls]`: certificate and key are both set or none.
    ServiceTls {
        /// Whether TLS is demanded.
        mode: TlsMode,
        /// Roots to trust, PEM.
        ca_file: Option<PathBuf>,
        /// Client certificate chain, PEM.
        cert_file: Option<PathBuf>,
        /// Private key of the client certificate, PEM.
        key_file: Option<PathBuf>,
    }
}

choice! {
    /// Whether TLS is demanded.
    TlsMode {
        /// Yes, with the server's name checked.
        Verify = "verify",
        /// No.
        Off = "off",
    }
}

section! {
    /// `[sender]`.
    Sender {
        /// Stable name; the host's name if absent.
        member: Option<String>,
        /// Zone of its host.
        zone: Option<String>,
        /// Longest wait for the member's lock.
        lock_wait: Duration,
        /// Sending threads; 0 means one for each core.
        shards: u16,
        /// Most notifications held.
        held_max: usize,
        /// Most bytes held.
        held_bytes_max: ByteSize,
        /// Lease of the gate; more than two round trips.
        lease: Duration,
        /// How often the lease is renewed.
        round_trip: Duration,
        /// Wait after an unclean predecessor; not less than the lease.
        grace: Duration,
        /// Longest orderly stop.
        drain_deadline: Duration,
        /// How often the credentials' files are looked at.
        credential_look: Duration,
        /// How long final ids are remembered after a marked copy.
        id_memory: Duration,
        /// Most ids remembered so.
        id_memory_max: usize,
        /// Where suspects are noted, if messages are to be quarantined.
        state_folder: Option<PathBuf>,
        /// Deliveries after which a message is handled alone.
        quarantine_after: NonZeroU32,
        /// Apps that are counted by name; at most 50, none twice, none named `other`.
        apps: Option<Vec<String>>,
    }
}

section! {
    /// `[retry]`. Each list has at least one item and lasts no longer than `hold_max` in all.
    Retry {
        /// Pauses after 5xx, one for each further write.
        service: Vec<Duration>,
        /// Pauses after a lost connection or a write that never left.
        transport: Vec<Duration>,
        /// Pauses of a lane after 429.
        throttle: Vec<Duration>,
        /// Least pause after a refusal of the credential.
        credential: Duration,
        /// Share of a pool's writes that may be retries, above 0 and at most 1.
        budget_share: f64,
        /// Retries a second always allowed.
        budget_floor: u32,
        /// Most writes of one notification.
        attempts_max: NonZeroU32,
        /// Longest hold unacked.
        hold_max: Duration,
    }
}

section! {
    /// `[ownership]`.
    Ownership {
        /// Which queues; see [`Config::ownership_mode`].
        mode: Option<OwnershipMode>,
        /// `<pool>.q<n>` each, of pools that exist; set exactly when the mode is `listed`.
        queues: Option<Vec<String>>,
    }
}

choice! {
    /// Which queues this sender owns.
    OwnershipMode {
        /// Those that the health monitor assigns; [`Coordinator::servers`] is set.
        Fleet = "fleet",
        /// Every queue of every pool.
        All = "all",
        /// Those listed.
        Listed = "listed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{key_table, schema};
    use crate::values::Setting;
    use std::collections::BTreeSet;

    /// One home per fact: `default.toml` and the types name the same settings.
    #[test]
    fn types_and_default_toml_name_the_same_settings() {
        let mut read = Vec::new();
        Config::keys("", &mut read);
        let base = |key: &str| {
            let base = key.strip_suffix("_file").or_else(|| key.strip_suffix("_env")).unwrap_or(key);
            let is_read = schema().source_of_secret(base).is_some() || base == "gateway.api_keys";
            if is_read { base } else { key }.to_owned()
        };
        let documented: BTreeSet<String> = key_table().iter().map(|k| base(&k.key)).collect();
        assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), documented);
    }
}
