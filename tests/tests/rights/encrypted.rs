//! What every service is put to: the right certificates work, and each wrong one is refused with what is wrong and what to do.

use std::time::Instant;

use serde_json::json;
use skein_test_site::run::commit;
use skein_tests::{figures, services::ServerTls};

use crate::authority::{Authority, Pem, Valid};

/// The address in the servers' certificates, and the one that is not.
pub const NAMED: &str = "127.0.0.1";
pub const NOT_NAMED: &str = "localhost";

/// How a service is reached.
pub struct Way<'a> {
    pub host: &'a str,
    /// The authority that is trusted, PEM.
    pub trusted: &'a str,
    pub client: Option<&'a Pem>,
}

impl Way<'_> {
    pub fn identity(&self) -> Option<(&[u8], &[u8])> {
        self.client.map(|pem| (pem.certificate.as_bytes(), pem.key.as_bytes()))
    }
}

/// Two authorities: the servers', which signs our client certificate as well, and another.
pub struct Certificates {
    ours: Authority,
    other: Authority,
}

impl Certificates {
    pub fn new() -> Self {
        Self {
            ours: Authority::new("Skein's test authority"),
            other: Authority::new("another test authority"),
        }
    }

    /// A server's files; it lets in the clients of our authority.
    pub fn server(&self, valid: Valid) -> ServerTls {
        let own = self.ours.server(NAMED, valid);
        ServerTls::new(&self.ours.pem(), &own.certificate, &own.key).unwrap()
    }

    /// Whom to trust, and a client certificate.
    pub fn client(&self) -> (String, Pem) {
        (self.ours.pem(), self.ours.client(Valid::Now))
    }

    /// Whom to trust, and a client certificate that has expired.
    pub fn expired_client(&self) -> (String, Pem) {
        (self.ours.pem(), self.ours.client(Valid::Once))
    }
}

/// One way in that must be shut.
struct Shut<'a> {
    what: &'a str,
    way: Way<'a>,
    expired_server: bool,
    /// One of these words says what to do.
    remedies: &'a [&'a str],
}

/// Tries every way. `reach` uses the service for something, by way of the server with the good certificate or of the one with the
/// expired; its error is what an operator reads.
pub async fn prove(
    service: &str,
    certificates: &Certificates,
    reach: impl AsyncFn(&Way<'_>, bool) -> Result<(), String>,
) {
    let began = Instant::now();
    let Certificates { ours, other } = certificates;
    let (trusted, distrusted) = (ours.pem(), other.pem());
    let (client, stranger, late) =
        (ours.client(Valid::Now), other.client(Valid::Now), ours.client(Valid::Once));
    let way = |host, trusted, client| Way { host, trusted, client };
    let right = || way(NAMED, &trusted, Some(&client));
    reach(&right(), false)
        .await
        .unwrap_or_else(|why| panic!("{service}: the right certificate is refused: {why}"));

    let shut = |what, way, remedies| Shut { what, way, expired_server: false, remedies };
    let all = [
        shut("no client certificate", way(NAMED, &trusted, None), &["cert_file"][..]),
        shut(
            "a client certificate of another authority",
            way(NAMED, &trusted, Some(&stranger)),
            &["cert_file"],
        ),
        shut("an expired client certificate", way(NAMED, &trusted, Some(&late)), &["cert_file"]),
        shut("a server of another authority", way(NAMED, &distrusted, Some(&client)), &["ca_file"]),
        shut("a server of another name", way(NOT_NAMED, &trusted, Some(&client)), &["another name"]),
        Shut {
            expired_server: true,
            ..shut("a server whose certificate has expired", right(), &["renew it on the server"])
        },
    ];
    let runs = all.len();
    let mut let_in = Vec::new();
    for Shut { what, way, expired_server, remedies } in all {
        match reach(&way, expired_server).await {
            Ok(()) => let_in.push(what),
            Err(why) => {
                assert!(why.contains(service), "{what}: the error names no service: {why}");
                assert!(
                    remedies.iter().any(|word| why.contains(word)),
                    "{what}: the error says not what to do: {why}"
                );
                // P9: nothing of a key.
                assert!(!why.contains("PRIVATE"), "{what}: {why}");
            }
        }
    }
    let row = json!({
        "row": format!("tls-refused {service}"),
        "runs": runs,
        "failed": let_in.len(),
        "lost": 0,
        "inversions": 0,
        "seconds": began.elapsed().as_secs_f64(),
        "commit": commit(),
    });
    figures::append("operations", &row).unwrap();
    assert!(let_in.is_empty(), "{service} lets in: {let_in:?}");
}
