//! TLS with a client certificate, through a door that ends it in front of the real broker.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use skein_backends::rabbitmq::{RabbitBroker, RabbitOptions};
use skein_core::QueueName;
use skein_core::seam::{Broker as _, BrokerError, Inbox as _};
use skein_producer::{LinkOptions, tls_config};
use skein_tests::need;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::{MAX_LENGTH_BYTES, World, link, pool};

/// A certificate for `localhost`, which is also the one to trust.
struct Identity {
    certificate: String,
    key: String,
    der: rustls_pki_types::CertificateDer<'static>,
    key_der: Vec<u8>,
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Identity {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().clone(),
        key_der: made.signing_key.serialize_der(),
    }
}

/// Demands the client's certificate; gives its port.
async fn door(world: &World, server: &Identity, client: &Identity) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(client.der.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der.clone()], PrivateKeyDer::Pkcs8(server.key_der.clone().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, broker) = (listener.local_addr().unwrap().port(), world.rabbit.amqp());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut broker = TcpStream::connect(broker).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut broker).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn attaches_over_tls_with_a_client_certificate() {
    need!("rabbitmq");
    let world = World::new("tls").await;
    world.declare("im", 1).await;
    let (server, client) = (identity(), identity());
    let port = door(&world, &server, &client).await;
    let url = world.url.replace("amqp://", "amqps://");
    let url = url.replace(&world.rabbit.amqp().to_string(), &format!("localhost:{port}"));
    let queue = QueueName { pool: pool("im"), number: 0 };
    world.publish(&queue, b"secret", false).await;

    let attach = async |tls| {
        let options = RabbitOptions::new(LinkOptions { tls, ..link(&url) });
        let broker = RabbitBroker::new(RabbitOptions { max_length_bytes: MAX_LENGTH_BYTES, ..options });
        broker.attach(&queue, 10).await
    };
    let identity = Some((client.certificate.as_bytes(), client.key.as_bytes()));
    let known = tls_config(server.certificate.as_bytes(), identity).unwrap();
    let mut inbox = attach(Some(known)).await.unwrap();
    assert_eq!(&inbox.take(1).await.unwrap()[0].body[..], b"secret");
    drop(inbox);

    let stranger = tls_config(server.certificate.as_bytes(), None).unwrap();
    let undocumented = attach(Some(stranger)).await.err();
    assert!(
        matches!(&undocumented, Some(BrokerError::Refused(why)) if why.contains("cert_file")),
        "{undocumented:?}"
    );
    let distrusting = tls_config(client.certificate.as_bytes(), identity).unwrap();
    let distrusts = attach(Some(distrusting)).await.err();
    assert!(matches!(&distrusts, Some(BrokerError::Refused(why)) if why.contains("TLS")), "{distrusts:?}");
    let without = attach(None).await.err();
    assert!(matches!(&without, Some(BrokerError::Refused(why)) if why.contains("TLS")), "{without:?}");
}
