//! What can be wrong on the way to APNs.

use skein_apns::{ClientConfig, Endpoint, Environment, Roots};
use skein_apns_sim::authority::ClientCertificateSpec;
use skein_doctor::PoolUnderTest;
use skein_tests::ports::Port;

use crate::site::{Site, good};

const CREDENTIAL: &str = "apns.im.credential";
const CONNECTION: &str = "apns.im.connection";

pub async fn plant(site: &mut Site) {
    let expired = ClientCertificateSpec { expired: true, ..good() };
    of_certificate(site, &expired, "the certificate is not valid now").await;
    let elsewhere = ClientCertificateSpec { sandbox: false, production: true, ..good() };
    of_certificate(site, &elsewhere, "the credential is for production and the endpoint is sandbox").await;
    let other = ClientCertificateSpec { topics: vec!["com.example.other".to_owned()], ..good() };
    of_certificate(site, &other, "the credential does not cover topic").await;

    let mut soon = site.pool(&good(), Environment::Sandbox);
    soon.days_left = Some(12);
    with(site, soon, CREDENTIAL, "its certificate runs out in 12 days").await;

    let nobody = Port::claim();
    let mut unreachable = site.pool(&good(), Environment::Sandbox);
    let endpoint = Endpoint::custom("127.0.0.1", nobody.number(), Environment::Sandbox).unwrap();
    unreachable.client = unreachable.client.map(|client| ClientConfig { endpoint, ..client });
    with(site, unreachable, CONNECTION, "no connection to APNs: can't connect (refused)").await;

    let mut untrusted = site.pool(&good(), Environment::Sandbox);
    untrusted.client = untrusted.client.map(|client| ClientConfig { roots: Roots::apple(), ..client });
    with(site, untrusted, CONNECTION, "no connection to APNs: can't connect (tls_chain)").await;
}

async fn of_certificate(site: &mut Site, spec: &ClientCertificateSpec, words: &str) {
    let pool = site.pool(spec, Environment::Sandbox);
    with(site, pool, CREDENTIAL, words).await;
}

async fn with(site: &mut Site, pool: PoolUnderTest, check: &str, words: &str) {
    let mut deployment = site.deployment();
    deployment.pools = vec![pool];
    site.named_in(&deployment, check, words).await;
}
