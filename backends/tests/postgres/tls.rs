//! TLS towards PostgreSQL: demanded, with the server's certificate and name checked.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use skein_backends::postgres::PostgresOptions;
use skein_core::seam::{Ledger, LedgerError};
use skein_tests::need;
use skein_tests::services::PostgreSql;

use crate::setup::{in_clear, ledger, ready};

/// Gives a server a certificate of an authority made here, whose certificate goes to `folder/ca.pem`.
async fn serve_tls(server: &mut PostgreSql, folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let data = server.query("postgres", "SHOW data_directory").await.unwrap()[0][0].clone().unwrap();
    let owner = std::fs::metadata(&data).unwrap();
    for (name, text) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let path = Path::new(&data).join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    server.query("postgres", "ALTER SYSTEM SET ssl = on").await.unwrap();
    server.restart().await.unwrap();
}

#[tokio::test]
async fn the_server_must_prove_who_it_is() {
    need!("postgresql");
    let folder = tempfile::tempdir().unwrap();
    let mut server = PostgreSql::start().await.unwrap();
    let clear = in_clear(&server.url());
    ready(&clear).await.close().await;
    let secure = PostgresOptions { tls: true, ..clear.clone() };
    let refused = ledger(&secure).ping().await;
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "a server without TLS: {refused:?}");

    serve_tls(&mut server, folder.path()).await;
    let rooted = PostgresOptions { ca_file: Some(folder.path().join("ca.pem")), ..secure.clone() };
    assert_eq!(ledger(&rooted).ping().await, Ok(()));
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
                     WHERE s.ssl AND a.application_name = 'skein'";
    let open = ledger(&rooted);
    open.ping().await.unwrap();
    assert_ne!(server.query("postgres", encrypted).await.unwrap()[0][0].as_deref(), Some("0"));

    let stranger = ledger(&secure).ping().await;
    assert!(matches!(&stranger, Err(LedgerError::Refused(why)) if why.contains("ca_file")), "{stranger:?}");
    let misnamed = PostgresOptions { url: rooted.url.replace("127.0.0.1", "localhost"), ..rooted };
    let misnamed = ledger(&misnamed).ping().await;
    assert!(matches!(&misnamed, Err(LedgerError::Refused(why)) if why.contains("name")), "{misnamed:?}");
}
