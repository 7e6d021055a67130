//! Bad files, each with exactly the faults an operator must be told: line, key, what, remedy.

use crate::{Folder, words};
use skein_config::{Config, Faults, Origin};

/// Line (0 for none), key, part of what is wrong, part of the remedy.
type Expected = (u32, &'static str, &'static str, &'static str);

const POOL: &str = "[pools.im]\nenvironment = \"sandbox\"\ntopics = [\"com.example.im\"]\n\
                    credential = { kind = \"token\", key_file = \"a.p8\", key_id = \"ABCDE12345\", team_id = \"TEAM123456\" }\n";

fn check(text: &str, expected: &[Expected]) {
    let folder = Folder::new();
    folder.write("a.p8", "key");
    folder.write("a.pem", "certificate");
    let faults = match folder.load(text) {
        Ok(_) => panic!("no fault in\n{text}"),
        Err(Faults(faults)) => faults,
    };
    let line = |origin: &Option<Origin>| match origin {
        Some(Origin::File { line, .. }) => line.unwrap_or(0),
        _ => 0,
    };
    let fits = faults.len() == expected.len()
        && faults.iter().zip(expected).all(|(fault, (number, key, what, remedy))| {
            line(&fault.origin) == *number
                && fault.key == *key
                && fault.what.contains(what)
                && fault.remedy.contains(remedy)
        });
    assert!(fits, "in\n{text}\nfound {faults:#?}\nexpected {expected:#?}");
}

#[test]
fn all_faults_are_reported_at_once() {
    check(
        "engine = \"clutser\"\n[sender]\nlease = 700\nshards = -1\nheld_max = \"many\"\n[retry]\nbudget_share = 1.5\n\
         hold_max = \"26m\"\n[http]\nlisten = \"localhost\"\n",
        &[
            (1, "engine", "did you mean \"cluster\"?", "give \"embedded\" or \"cluster\""),
            (
                3,
                "sender.lease",
                "is a number without quotes and unit",
                "a duration from \"100ms\" to \"30s\"",
            ),
            (4, "sender.shards", "-1 is less than 0", "a whole number from 0 to 256"),
            (5, "sender.held_max", "\"many\" is text", "a whole number from 100 to 1000000"),
            (7, "retry.budget_share", "1.5 is more than 1", "a number from 0.01 to 1"),
            (8, "retry.hold_max", "26m is more than 25m", "a duration from \"1s\" to \"25m\""),
            (10, "http.listen", "\"localhost\" is not of that shape", "\"127.0.0.1:9180\""),
        ],
    );
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    check(
        "enginee = \"cluster\"\n[sender]\nlease_ms = 700\n[brokre]\nurls = 1\nvhost = 2\n[sender.round_trip]\nx = 1\n\
         [pools.im-2]\nprot = 443\n[pools.Im]\nport = 443\n[pools.\"<name>\"]\nport = 443\n[[broker.urls]]\nx = 1\n",
        &[
            (1, "enginee", "is no setting of Skein", "did you mean engine?"),
            (3, "sender.lease_ms", "is no setting of Skein", "did you mean sender.lease?"),
            (4, "brokre", "is no setting of Skein", "did you mean broker?"),
            (
                7,
                "sender.round_trip",
                "is a setting, not a section",
                "write sender.round_trip = … with a duration",
            ),
            (9, "pools.im-2.credential.kind", "is missing", "kind = \"token\""),
            (
                9,
                "pools.im-2.environment",
                "is missing",
                "write environment = \"production\", or another: \"production\" or \"sandbox\"",
            ),
            (9, "pools.im-2.topics", "is missing", "topics = [\"com.example.im\"]"),
            (10, "pools.im-2.prot", "is no setting of Skein", "did you mean pools.im-2.port?"),
            (11, "pools.Im", "\"Im\" cannot be a pool's name", "1 to 32 of a-z, 0-9 and '-'"),
            (13, "pools.<name>", "\"<name>\" cannot be a pool's name", "1 to 32 of a-z, 0-9 and '-'"),
            (15, "broker.urls", "item 1: is a table in a list", "amqp://host[:port] or amqps://host[:port]"),
        ],
    );
    check(
        "broker = 5\n",
        &[(1, "broker", "is a section, not a setting", "set a key in it, such as broker.urls")],
    );
    check(
        "[sender]\nprefetch = 5\n",
        &[(2, "sender.prefetch", "is no setting", "did you mean broker.prefetch?")],
    );
}

#[test]
fn broken_toml_is_named_by_line_and_the_rest_still_checked() {
    check(
        "[sender]\nlease = \nshards = 999\n",
        &[
            (2, "", "is no TOML", "correct this line"),
            (3, "sender.shards", "999 is more than 256", "0 to 256"),
        ],
    );
    check("[sender]\nshards = 1\nshards = 2\n", &[(3, "", "is no TOML: duplicate key", "correct this line")]);
}

#[test]
fn rules_between_settings() {
    check(
        "[sender]\nlease = \"400ms\"\ngrace = \"300ms\"\n[broker]\nbackoff_min = \"10s\"\nbackoff_max = \"1s\"\n\
         [retry]\nhold_max = \"10m\"\n[gateway]\nlisten = \"127.0.0.1:9180\"\nrate_burst = 10\n[gateway.tls]\ncert_file = \"a.pem\"\n",
        &[
            (2, "sender.lease", "not longer than two round trips", "more than twice sender.round_trip"),
            (3, "sender.grace", "shorter than the lease", "at least sender.lease"),
            (5, "broker.backoff_min", "the first pause is longer", "make broker.backoff_max the larger"),
            (
                8,
                "retry.hold_max",
                "the pauses together are longer than retry.hold_max",
                "raise retry.hold_max",
            ),
            (10, "gateway.listen", "two listeners have the same address", "another port"),
            (11, "gateway.rate_burst", "always be over the burst", "at least gateway.items_max"),
            (13, "gateway.tls.cert_file", "is set alone", "set gateway.tls.key_file too"),
        ],
    );
}

#[test]
fn a_cluster_needs_its_services() {
    check(
        "engine = \"cluster\"\n[broker]\nusername = \"me\"\n",
        &[
            (1, "ledger.fingerprint_key_file", "is missing", "64 random hex digits"),
            (1, "ledger.url", "is missing, and the engine is cluster", "postgres://"),
            (2, "broker.urls", "is missing, and the engine is cluster", "amqps://"),
        ],
    );
    check(
        "[broker]\nurls = [\"amqp://a\", \"http://b\"]\n[ledger]\nurl = \"localhost:5432\"\n",
        &[
            (
                2,
                "broker.urls",
                "item 2: has the scheme \"http\"",
                "amqp://host[:port] or amqps://host[:port]",
            ),
            (4, "ledger.url", "scheme:// is missing", "postgres://host[:port]"),
        ],
    );
    check(
        "[broker]\nurls = [\"amqp://a/skein\"]\n[ledger]\nurl = \"postgres://h?sslmode=disable\"\nusername = \"a\\nb\"\n",
        &[
            (2, "broker.urls", "has an address with a path", "name the virtual host in broker.vhost"),
            (4, "ledger.url", "names no database", "such as /skein"),
            (4, "ledger.url", "has TLS settings in it", "[ledger.tls]"),
            (5, "ledger.username", "has a control character in it", "give text"),
        ],
    );
    check(
        "[broker]\nurls = [\"amqp://me@a\"]\nusername = \"me\"\ntls.ca_file = \"a.pem\"\n\
         [ledger]\ntls = { mode = \"off\", ca_file = \"a.pem\" }\npassword_file = \"a.p8\"\n",
        &[
            (3, "broker.username", "the address names a user too", "in one place"),
            (4, "broker.tls.ca_file", "has no TLS", "write amqps:// there"),
            (6, "ledger.tls.ca_file", "ledger.tls.mode is off", "ledger.tls.mode = \"verify\""),
            (7, "ledger.password_file", "is set without a user", "set ledger.username"),
        ],
    );
}

#[test]
fn pools() {
    check(
        "[pools.im]\nenvironment = \"prod\"\ntopics = []\nport = 8443\nendpoint = \"http://x\"\nqueues = 1025\n\
         credential = { kind = \"token\", key_file = \"none.p8\", key_id = \"short\", file = \"a.pem\" }\n",
        &[
            (2, "pools.im.environment", "did you mean \"production\"?", "\"production\" or \"sandbox\""),
            (3, "pools.im.topics", "has 0 items", "such as \"com.example.im\""),
            (4, "pools.im.port", "8443 is not among them", "443 or 2197"),
            (5, "pools.im.endpoint", "is not of that shape", "host:port"),
            (6, "pools.im.queues", "1025 is more than 1024", "1 to 1024"),
            (7, "pools.im.credential.file", "does not belong to a credential of the kind token", "remove it"),
            (7, "pools.im.credential.key_file", "No such file", "name a file that exists"),
            (
                7,
                "pools.im.credential.key_id",
                "\"short\" is not of that shape",
                "ten capital letters and digits",
            ),
            (7, "pools.im.credential.team_id", "is missing", "team_id = \"TEAM123456\""),
        ],
    );
    check(
        &format!(
            "{POOL}port = 2197\nendpoint = \"localhost:2197\"\nqueues = 200\nrequest_deadline = \"1m\"\n[pools.im.proxy]\nusername = \"me\"\n"
        ),
        &[
            (5, "pools.im.port", "the endpoint has a port too", "in one place"),
            (
                7,
                "pools.im.queues",
                "200 queues with a prefetch of 128 are 25600 deliveries, more than sender.held_max = 20000",
                "lower",
            ),
            (
                8,
                "pools.im.request_deadline",
                "is longer than sender.drain_deadline",
                "raise sender.drain_deadline",
            ),
            (9, "pools.im.proxy.url", "is missing", "url = \"http://proxy.internal:3128\""),
        ],
    );
    check(
        "[pools.im]\nenvironment = \"sandbox\"\ntopics = [\"a.b\", \"a.b\"]\n\
         [pools.im.credential]\nkind = \"certificate\"\nkey_id = \"ABCDE12345\"\n",
        &[
            (3, "pools.im.topics", "\"a.b\" stands twice", "leave it once"),
            (4, "pools.im.credential.file", "is missing", "file = \"push.p12\""),
            (
                6,
                "pools.im.credential.key_id",
                "does not belong to a credential of the kind certificate",
                "remove it",
            ),
        ],
    );
}

#[test]
fn apps() {
    let many = (0..51).map(|n| format!("\"app-{n}\"")).collect::<Vec<_>>().join(", ");
    for (apps, what, remedy) in [
        (many.as_str(), "51 apps; at most 50 are counted by name", "worth"),
        ("\"im\", \"im\"", "\"im\" stands twice", "leave it once"),
        ("\"other\"", "\"other\" is what all apps that are not named are counted as", "leave it out"),
    ] {
        check(&format!("{POOL}[sender]\napps = [{apps}]\n"), &[(6, "sender.apps", what, remedy)]);
    }
}

#[test]
fn ownership() {
    check(
        &format!(
            "{POOL}queues = 4\n[ownership]\nmode = \"listed\"\nqueues = [\"im.q0\", \"im.q4\", \"other.q0\", \"im.q0\"]\n"
        ),
        &[
            (8, "ownership.queues", "\"im.q4\" does not exist, the pool has 4 queues", "q0 to q3"),
            (8, "ownership.queues", "\"other.q0\" is of a pool that does not exist", "the pools: im"),
            (8, "ownership.queues", "\"im.q0\" stands twice", "list it once"),
        ],
    );
    check(
        &format!("{POOL}[ownership]\nqueues = [\"im.q0\"]\n"),
        &[(6, "ownership.queues", "but the mode is all", "ownership.mode = \"listed\"")],
    );
    check(
        "[ownership]\nmode = \"listed\"\n",
        &[(1, "ownership.queues", "is missing, and the mode is listed", "list this sender's queues")],
    );
    check(
        "[ownership]\nmode = \"listed\"\nqueues = [\"im.0\"]\n",
        &[(3, "ownership.queues", "item 1: \"im.0\" is not of that shape", "\"enterprise.q0\"")],
    );
}

#[test]
fn files_are_looked_at() {
    check(
        "[pools]\n[embedded]\npath = \"no/such/folder/skein.db\"\n",
        &[(3, "embedded.path", "is no place for a file", "make the folder")],
    );
    let missing = Config::load(&skein_config::Sources { files: vec!["none.toml".into()], ..words(&[], &[]) });
    let faults = missing.expect_err("no such file");
    assert_eq!(faults.0[0].origin, Some(Origin::File { file: "none.toml".into(), line: None }));
}

#[test]
fn words_of_the_environment_and_flags() {
    let environment =
        [("SKEIN_BROKER__URL", "amqp://a"), ("SKEIN_BROKER_URLS", "amqp://a"), ("SKEIN_SENDER__LEASE", "1")];
    let flags = ["sender.shards", "sender.shards=x", "log.levle=info"];
    let faults = Config::load(&words(&environment, &flags)).expect_err("refused");
    let found: Vec<_> = faults.0.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "environment SKEIN_BROKER_URLS: broker.urls: is separated by single underscores; write SKEIN_BROKER__URLS",
            "environment SKEIN_BROKER__URL: broker.url: is no setting of Skein; did you mean broker.urls? otherwise remove it",
            "environment SKEIN_SENDER__LEASE: sender.lease: \"1\" is no duration; give a duration from \"100ms\" to \"30s\"",
            "flag --set (1): has no '='; write --set key=value, such as --set sender.lease=800ms",
            "flag --set (2): sender.shards: \"x\" is no whole number; give a whole number from 0 to 256",
            "flag --set (3): log.levle: is no setting of Skein; did you mean log.level? otherwise remove it",
        ]
    );
}

#[test]
fn the_coordinators_settings_are_checked() {
    check(
        "[coordinator]\nservers = [\"zk:2181\", \"zk 2\"]\nchroot = \"skein/\"\nsession_timeout = \"500ms\"\n\
         backoff_min = \"5s\"\nbackoff_max = \"1s\"\nusername = \"skein\"\n",
        &[
            (2, "coordinator.servers", "item 2: \"zk 2\" is not of that shape", "127.0.0.1:2197"),
            (3, "coordinator.chroot", "\"skein/\" is not of that shape", "\"/teams/skein\""),
            (4, "coordinator.session_timeout", "500ms is less than 1s", "from \"1s\" to \"1m\""),
            (
                5,
                "coordinator.backoff_min",
                "the first pause is longer",
                "make coordinator.backoff_max the larger",
            ),
            (7, "coordinator.username", "without a password", "coordinator.password_file"),
        ],
    );
}
