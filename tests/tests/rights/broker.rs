//! TLS to RabbitMQ: AMQP, and the management API.

use skein_producer::{LinkOptions, link::Link, tls_config};
use skein_tests::{need, services::RabbitMq};

use crate::{
    authority::Valid,
    encrypted::{Certificates, Way, prove},
};

#[tokio::test]
async fn rabbitmq_by_amqp() {
    need!("rabbitmq");
    let certificates = Certificates::new();
    let [good, expired] = servers(&certificates).await;
    prove("RabbitMQ", &certificates, async |way, expired_server| {
        let [amqp, _] = if expired_server { &expired } else { &good }.tls().unwrap();
        let link = Link::connect(&options(way, amqp.port()), 0).await.map_err(|error| error.to_string())?;
        let channel = link.connection().create_channel().await.map_err(|error| error.to_string())?;
        let queue = lapin::options::QueueDeclareOptions { exclusive: true, ..Default::default() };
        channel
            .queue_declare("".into(), queue, Default::default())
            .await
            .map_err(|error| error.to_string())?;
        Ok(())
    })
    .await;
}

async fn servers(certificates: &Certificates) -> [RabbitMq; 2] {
    let (good, expired) = tokio::join!(
        RabbitMq::start_with_tls(certificates.server(Valid::Now)),
        RabbitMq::start_with_tls(certificates.server(Valid::Once)),
    );
    [good.unwrap(), expired.unwrap()]
}

fn options(way: &Way<'_>, port: u16) -> LinkOptions {
    let address = format!("amqps://guest:guest@{}:{port}/%2f", way.host).parse().unwrap();
    let tls = Some(tls_config(way.trusted.as_bytes(), way.identity()).unwrap());
    LinkOptions { tls, ..LinkOptions::new(vec![address], "rights") }
}
