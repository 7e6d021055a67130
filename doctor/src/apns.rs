//! Each pool's credential, and the way to APNs: a connection with it, on which nothing is pushed.

use skein_apns::{ConnectFailure, Credential, ProbeError, probe};

use crate::deployment::PoolUnderTest;
use crate::report::{Check, Finding};

/// From when a certificate that runs out is named; a renewal at Apple takes a person some days.
const DAYS_LEFT_WARNS: u64 = 30;

pub(crate) async fn examine(pool: &PoolUnderTest) -> Vec<Check> {
    let name = &pool.name;
    let [check, connection] = ["credential", "connection"].map(|of| format!("apns.{name}.{of}"));
    let Some(read) = &pool.credential else {
        let why = format!(
            "the files of its credential are not on this host; on a sender's: skein credential check {name} --connect"
        );
        return [check, connection].map(|of| Check::skipped(of, why.as_str())).into();
    };
    let credential = Check::new(check, credential(pool, read).into_iter().collect());
    let connection = match (&pool.client, read) {
        (Err(why), _) => {
            let found = Finding::error(format!("pool {name}: {why}"), "skein config check");
            Check::new(connection, vec![found])
        }
        (_, Err(_)) => Check::skipped(connection, "the pool has no credential to connect with"),
        (Ok(client), Ok(credential)) => match probe(client, credential).await {
            Ok(_) => Check::new(connection, Vec::new()),
            // Said once: it does not fit, and APNs says so too.
            Err(ProbeError::Refused(_)) if pool.unfit.is_some() => {
                Check::skipped(connection, "the credential does not fit, and apns refuses it")
            }
            Err(error) => Check::new(connection, vec![unreached(name, &error)]),
        },
    };
    vec![credential, connection]
}

fn credential(pool: &PoolUnderTest, read: &Result<Credential, String>) -> Option<Finding> {
    let name = &pool.name;
    let check = format!("skein credential check {name}");
    if let Err(why) = read {
        return Some(Finding::error(format!("pool {name}: {why}"), check));
    }
    if let Some(why) = &pool.unfit {
        let remedy =
            format!("correct pools.{name}.credential, environment or topics, then: {check} --connect");
        return Some(Finding::error(format!("pool {name}: {why}"), remedy));
    }
    let days = pool.days_left.filter(|days| *days <= DAYS_LEFT_WARNS)?;
    let what = format!("pool {name}: its certificate runs out in {days} days");
    let remedy = format!(
        "renew it on Apple's developer site, put the new file in place, then: skein credential rotate {name}"
    );
    Some(Finding::warning(what, remedy))
}

fn unreached(name: &str, error: &ProbeError) -> Finding {
    let remedy = match error {
        ProbeError::Refused(_) => {
            format!("skein credential check {name}; make a new one on Apple's developer site")
        }
        ProbeError::Lost(_) => {
            format!("skein credential check {name} --connect, again; then ask who runs the way to APNs")
        }
        ProbeError::Unreachable(dial) => of_dial(name, dial.failure),
    };
    Finding::error(format!("pool {name}: no connection to APNs: {error}"), remedy)
}

fn of_dial(name: &str, failure: ConnectFailure) -> String {
    match failure {
        ConnectFailure::Dns => format!("correct pools.{name}.endpoint, or this host's /etc/resolv.conf"),
        ConnectFailure::TlsChain => format!(
            "take pools.{name}.ca_file out, so that Apple's roots are trusted; is the endpoint a simulator, name its own"
        ),
        ConnectFailure::ProxyUnreachable
        | ConnectFailure::ProxyAuthentication
        | ConnectFailure::ProxyRefused
        | ConnectFailure::ProxyLost => {
            format!("correct pools.{name}.proxy, or let the proxy through to APNs")
        }
        ConnectFailure::ClientCertificate => format!("skein credential check {name}"),
        _ => format!(
            "let this host reach it by TCP (port 443, or pools.{name}.port = 2197); correct pools.{name}.endpoint if it is set"
        ),
    }
}
