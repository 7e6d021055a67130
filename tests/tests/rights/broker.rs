//! TLS to RabbitMQ: AMQP, and the management API.

use skein_health_monitor::rabbitmq::{Management, ManagementOptions, ManagementUrl};
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

#[tokio::test]
async fn rabbitmq_by_its_management_api() {
    need!("rabbitmq");
    let certificates = Certificates::new();
    let [good, expired] = servers(&certificates).await;
    prove("RabbitMQ's management API", &certificates, async |way, expired_server| {
        let [_, management] = if expired_server { &expired } else { &good }.tls().unwrap();
        let mut management = Management::new(ManagementOptions {
            url: ManagementUrl { tls: true, host: way.host.to_owned(), port: management.port() },
            tls: Some(tls_config(way.trusted.as_bytes(), way.identity()).unwrap()),
            username: "guest".to_owned(),
            password: "guest".to_owned().into(),
            vhost: "/".to_owned(),
        });
        // As the monitor's log says it.
        management.queues().await.map(drop).map_err(|why| format!("RabbitMQ's management API: {why}"))
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
