//! The rules that hold between settings.

use crate::fault::Faults;
use crate::live_layer::FINGERPRINT_KEY;
use crate::pool::CredentialKind;
use crate::schema::join;
use crate::service_url::{ServiceUrl, split_host_port};
use crate::settings::{Engine, OwnershipMode, TlsMode};
use crate::value::FromValue;
use crate::values::Values;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the APNs client may hold a write after the gate was looked at (the binary's own bound, no setting).
const UNSENT_MAX: Duration = Duration::from_millis(250);

/// Most apps with figures of their own: each is eight series of every sender.
const APPS_MAX: usize = 50;
/// The label of the others.
const APP_OTHER: &str = "other";

/// Checks every rule; one that needs a faulty setting is passed over.
pub(crate) fn check_rules(values: &Values, faults: &mut Faults) {
    let mut rules = Rules { values, faults };
    rules.times();
    rules.engine();
    rules.listeners();
    rules.addresses();
    rules.logins();
    rules.apps();
    for pool in values.pools() {
        rules.pool(&join("pools", &pool));
    }
    rules.ownership();
}

struct Rules<'a> {
    values: &'a Values,
    faults: &'a mut Faults,
}

impl Rules<'_> {
    /// Adds a fault at the first of these keys that somebody set, else where the section stands.
    fn fault(&mut self, keys: &[&str], what: impl Display, remedy: impl Display) {
        let set = |key: &&&str| self.values.origin(key).is_some_and(|origin| !origin.is_default());
        let key = keys.iter().find(set).or(keys.first()).copied().unwrap_or_default();
        let origin = self.values.origin(key).or_else(|| self.values.place_of_missing(key));
        self.faults.add(origin, key, what.to_string(), remedy.to_string());
    }

    fn both<T: FromValue>(&self, a: &str, b: &str) -> Option<(T, T)> {
        Some((self.values.get(a)?, self.values.get(b)?))
    }

    fn apps(&mut self) {
        let Some(apps) = self.values.get::<Vec<String>>("sender.apps") else { return };
        let mut seen = BTreeSet::new();
        if apps.len() > APPS_MAX {
            let what = format!("{} apps; at most {APPS_MAX} are counted by name", apps.len());
            self.fault(&["sender.apps"], what, "name those that an alarm of their own is worth");
        } else if let Some(twice) = apps.iter().find(|app| !seen.insert(*app)) {
            self.fault(&["sender.apps"], format!("{twice:?} stands twice"), "leave it once");
        } else if seen.contains(&APP_OTHER.to_owned()) {
            let what = format!("{APP_OTHER:?} is what all apps that are not named are counted as");
            self.fault(&["sender.apps"], what, "leave it out");
        }
    }

    fn times(&mut self) {
        let (lease, round_trip, grace) = ("sender.lease", "sender.round_trip", "sender.grace");
        if let Some((long, short)) = self.both::<Duration>(lease, round_trip)
            && long <= short * 2
        {
            let what = "the lease is not longer than two round trips, so one late answer shuts the gate";
            self.fault(&[lease, round_trip], what, "make sender.lease more than twice sender.round_trip");
        }
        if let Some((wait, long)) = self.both::<Duration>(grace, lease)
            && wait < long + UNSENT_MAX
        {
            let what =
                "the grace is shorter than the lease and 250ms, so a predecessor could still be writing";
            self.fault(&[grace, lease], what, "make sender.grace at least sender.lease + 250ms");
        }
        for section in ["broker", "coordinator"] {
            let [first, longest] = ["backoff_min", "backoff_max"].map(|name| join(section, name));
            if self.both::<Duration>(&first, &longest).is_some_and(|(min, max)| min > max) {
                let remedy = format!("make {longest} the larger");
                self.fault(&[&first, &longest], "the first pause is longer than the longest", remedy);
            }
        }
        {
            let [first, longest] =
                ["flap_backoff_first", "flap_backoff_max"].map(|name| join("monitor.policy", name));
            if self.both::<Duration>(&first, &longest).is_some_and(|(min, max)| min > max) {
                let remedy = format!("make {longest} the larger");
                self.fault(&[&first, &longest], "the first pause is longer than the longest", remedy);
            }
        }
        let balance = ["monitor.policy.balance_stop_percent", "monitor.policy.balance_act_percent"];
        if self.both::<u64>(balance[0], balance[1]).is_some_and(|(stop, act)| stop >= act) {
            let what = "balance would stop where it begins, so queues would move for ever";
            self.fault(&balance, what, "make balance_stop_percent less than balance_act_percent");
        }
        for list in ["retry.service", "retry.transport", "retry.throttle"] {
            let pauses: Option<Vec<Duration>> = self.values.get(list);
            let (Some(pauses), Some(max)) = (pauses, self.values.get::<Duration>("retry.hold_max")) else {
                continue;
            };
            if pauses.iter().sum::<Duration>() > max {
                let what = "the pauses together are longer than retry.hold_max";
                self.fault(
                    &[list, "retry.hold_max"],
                    what,
                    "shorten them, or raise retry.hold_max (at most \"25m\")",
                );
            }
        }
        let rates = ["gateway.rate_burst", "gateway.items_max"];
        if self.both::<u64>(rates[0], rates[1]).is_some_and(|(burst, items)| burst < items) {
            let what = "a full request would always be over the burst";
            self.fault(&rates, what, "make gateway.rate_burst at least gateway.items_max");
        }
    }

    fn engine(&mut self) {
        if self.values.get::<Engine>("engine") == Some(Engine::Cluster) {
            for (key, example) in [
                ("broker.urls", "[\"amqps://rabbit-1.internal:5671\"]"),
                ("ledger.url", "\"postgres://ledger.internal:5432/skein\""),
            ] {
                if !self.values.is_set(key) {
                    let remedy = format!("set it, such as {example}, or engine = \"embedded\"");
                    self.fault(&[key], "is missing, and the engine is cluster", remedy);
                }
            }
            if !self.values.is_elsewhere(FINGERPRINT_KEY) && !self.values.is_secret_set(FINGERPRINT_KEY) {
                let what = "is missing, and the processes of a cluster must share it";
                let remedy =
                    "put 64 random hex digits into a file (mode 0600) on every host and name it here";
                self.fault(&["ledger.fingerprint_key_file"], what, remedy);
            }
        }
    }

    fn listeners(&mut self) {
        for other in ["gateway.listen", "monitor.listen"] {
            let listeners = ["http.listen", other];
            if self.both::<SocketAddr>(listeners[0], other).is_some_and(|(a, b)| a == b && a.port() != 0) {
                self.fault(
                    &listeners,
                    "two listeners have the same address",
                    "give one of them another port",
                );
            }
        }
        for section in ["gateway.tls", "broker.tls", "coordinator.tls", "ledger.tls"] {
            let [cert, key] = ["cert_file", "key_file"].map(|name| join(section, name));
            if self.values.is_set(&cert) != self.values.is_set(&key) {
                let (set, missing) = if self.values.is_set(&cert) { (cert, key) } else { (key, cert) };
                self.fault(&[&set], "is set alone", format!("set {missing} too, or neither"));
            }
        }
        let tls_keys = |section: &str| ["ca_file", "cert_file", "key_file"].map(|name| join(section, name));
        let urls: Vec<ServiceUrl> = self.values.get("broker.urls").unwrap_or_default();
        for key in tls_keys("broker.tls") {
            if self.values.is_set(&key) && urls.iter().any(|url| url.scheme == "amqp") {
                self.fault(
                    &[&key],
                    "is set, but an address of broker.urls has no TLS",
                    "write amqps:// there",
                );
            }
        }
        for section in ["coordinator.tls", "ledger.tls"] {
            let mode = join(section, "mode");
            for key in tls_keys(section) {
                if self.values.is_set(&key) && self.values.get(&mode) == Some(TlsMode::Off) {
                    let (what, remedy) =
                        (format!("is set, but {mode} is off"), format!("set {mode} = \"verify\""));
                    self.fault(&[&key], what, remedy);
                }
            }
        }
    }

    fn addresses(&mut self) {
        let urls: Vec<ServiceUrl> = self.values.get("broker.urls").unwrap_or_default();
        if urls.iter().any(|url| url.path.len() > 1) {
            let remedy = "name the virtual host in broker.vhost, and end the addresses after the port";
            self.fault(&["broker.urls"], "has an address with a path", remedy);
        }
        let Some(url) = self.values.get::<ServiceUrl>("ledger.url") else { return };
        if url.path.len() < 2 {
            self.fault(
                &["ledger.url"],
                "names no database",
                "end it with the database's name, such as /skein",
            );
        }
        if url.query.contains("ssl") {
            self.fault(&["ledger.url"], "has TLS settings in it", "set them in [ledger.tls]");
        }
    }

    fn logins(&mut self) {
        let mut sections =
            vec!["broker".to_owned(), "coordinator".to_owned(), "ledger".to_owned(), "monitor".to_owned()];
        sections.extend(self.values.pools().iter().map(|pool| format!("pools.{pool}.proxy")));
        for section in sections {
            let [name, password] = ["username", "password"].map(|name| join(&section, name));
            let urls: Vec<ServiceUrl> = self
                .values
                .get::<ServiceUrl>(&join(&section, "url"))
                .map(|url| vec![url])
                .or_else(|| self.values.get(&join(&section, "urls")))
                .unwrap_or_default();
            // A faulty address may well name a user.
            let in_url = urls.iter().any(|url| url.username.is_some())
                || ["url", "urls"].iter().any(|name| self.values.faulty.contains(&join(&section, name)));
            if self.values.is_set(&name) && urls.iter().any(|url| url.username.is_some()) {
                self.fault(
                    &[&name],
                    "is set, and the address names a user too",
                    "name the user in one place",
                );
            }
            if section == "coordinator" && self.values.is_set(&name) && !self.values.is_secret_set(&password)
            {
                let what = "is set without a password, which ZooKeeper's digest needs";
                self.fault(&[&name], what, format!("set {password}_file or {password}_env"));
            }
            if self.values.is_secret_set(&password) && !self.values.is_set(&name) && !in_url {
                let keys = [format!("{password}_file"), format!("{password}_env"), password];
                self.fault(
                    &keys.each_ref().map(String::as_str),
                    "is set without a user",
                    format!("set {name}"),
                );
            }
        }
    }

    fn pool(&mut self, pool: &str) {
        let at = |name: &str| join(pool, name);
        let queues =
            if self.values.is_set(&at("queues")) { at("queues") } else { "broker.queues".to_owned() };
        let numbers = [
            self.values.get::<u64>("broker.prefetch"),
            self.values.get(&queues),
            self.values.get("sender.held_max"),
        ];
        if let [Some(prefetch), Some(count), Some(held)] = numbers
            && prefetch * count > held
        {
            let what = format!(
                "{count} queues with a prefetch of {prefetch} are {} deliveries, more than sender.held_max = {held}",
                prefetch * count
            );
            let remedy = "lower the queues or broker.prefetch, or raise sender.held_max";
            self.fault(&[&queues, "broker.prefetch", "sender.held_max"], what, remedy);
        }
        if let Some(topics) = self.values.get::<Vec<String>>(&at("topics")) {
            let mut seen = BTreeSet::new();
            if let Some(twice) = topics.iter().find(|topic| !seen.insert(*topic)) {
                self.fault(&[&at("topics")], format!("{twice:?} stands twice"), "leave it once");
            }
        }
        let endpoint = self.values.get::<String>(&at("endpoint"));
        let has_port = endpoint.and_then(|e| split_host_port(&e)).is_some_and(|(_, port)| port.is_some());
        if has_port && self.values.origin(&at("port")).is_some_and(|origin| !origin.is_default()) {
            self.fault(
                &[&at("port")],
                "is set, and the endpoint has a port too",
                "name the port in one place",
            );
        }
        let deadline = self.values.get::<Duration>(&at("request_deadline"));
        if let (Some(deadline), Some(drain)) =
            (deadline, self.values.get::<Duration>("sender.drain_deadline"))
            && deadline > drain
        {
            let what = "the request_deadline of a pool is longer than sender.drain_deadline, so an orderly stop leaves writes in doubt";
            let remedy = "shorten request_deadline, or raise sender.drain_deadline";
            self.fault(&[&at("request_deadline"), "sender.drain_deadline"], what, remedy);
        }
        self.credential(&at("credential"));
        let proxy_ca = at("proxy.ca_file");
        let proxy = self.values.get::<ServiceUrl>(&at("proxy.url"));
        if self.values.is_set(&proxy_ca) && proxy.is_some_and(|url| url.scheme == "http") {
            self.fault(&[&proxy_ca], "is set, but the proxy's address has no TLS", "write https:// there");
        }
    }

    /// A key of the other kind is a slip that would go unnoticed; missing ones are found when the struct is read.
    fn credential(&mut self, credential: &str) {
        let Some(kind) = self.values.get::<CredentialKind>(&join(credential, "kind")) else { return };
        let foreign: &[&str] = match kind {
            CredentialKind::Token => &["file", "password", "password_file", "password_env"],
            CredentialKind::Certificate => &["key_id", "team_id", "environments", "topics"],
        };
        for name in foreign {
            let key = join(credential, name);
            if self.values.is_set(&key)
                && !(*name == "password" && self.values.is_set(&format!("{key}_file")))
            {
                let what = format!("does not belong to a credential of the kind {}", kind.label());
                self.fault(&[&key], what, format!("remove it, or change {credential}.kind"));
            }
        }
    }

    fn ownership(&mut self) {
        let key = "ownership.queues";
        match self.values.get("ownership.mode") {
            Some(OwnershipMode::Listed) if !self.values.is_set(key) => {
                self.fault(&[key], "is missing, and the mode is listed", "list this sender's queues");
            }
            Some(OwnershipMode::Fleet) if !self.values.is_set("coordinator.servers") => {
                let remedy = "set coordinator.servers, or another ownership.mode";
                self.fault(&["ownership.mode"], "is fleet, and no ZooKeeper is named", remedy);
            }
            Some(OwnershipMode::Listed) => {}
            mode if self.values.is_set(key) => {
                let fleet = self.values.is_set("coordinator.servers");
                let otherwise = if fleet { OwnershipMode::Fleet } else { OwnershipMode::All };
                let what = format!("is set, but the mode is {}", mode.unwrap_or(otherwise).label());
                self.fault(&[key], what, "set ownership.mode = \"listed\", or remove it");
            }
            _ => {}
        }
        let mut seen = BTreeSet::new();
        for queue in self.values.get::<Vec<String>>(key).unwrap_or_default() {
            let Some((pool, number)) = queue.rsplit_once(".q") else { continue };
            let at = join("pools", pool);
            let count =
                self.values.get::<u64>(&join(&at, "queues")).or_else(|| self.values.get("broker.queues"));
            let number: u64 = number.parse().unwrap_or(u64::MAX);
            if !self.values.sections.contains_key(&at) {
                let pools = self.values.pools();
                let remedy = format!("name one of the pools: {}", pools.join(", "));
                self.fault(&[key], format!("{queue:?} is of a pool that does not exist"), remedy);
            } else if let Some(count) = count.filter(|count| number >= *count) {
                let what = format!("{queue:?} does not exist, the pool has {count} queues");
                self.fault(&[key], what, format!("its queues are q0 to q{}", count - 1));
            }
            if !seen.insert(queue.clone()) {
                self.fault(&[key], format!("{queue:?} stands twice"), "list it once");
            }
        }
    }
}
