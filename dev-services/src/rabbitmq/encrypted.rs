//! A RabbitMQ node that speaks TLS too, and demands a client certificate there.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use anyhow::Result;

use super::{Epmd, RabbitMq};
use crate::{ports::Port, tls::ServerTls, unique};

/// Its listeners.
#[derive(Debug)]
pub(super) struct Encrypted {
    amqp: Port,
    management: Port,
    _files: ServerTls,
}

impl RabbitMq {
    /// As [`start`](Self::start), with AMQP and the management API over TLS on ports of their own.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub async fn start_with_tls(files: ServerTls) -> Result<Self> {
        let (amqp, management) = (Port::claim(), Port::claim());
        let [clients, certificate, key] =
            [files.clients(), files.certificate(), files.key()].map(|path| path.display().to_string());
        let part = |prefix: &str| {
            format!(
                "{prefix}.cacertfile = {clients}\n{prefix}.certfile = {certificate}\n{prefix}.keyfile = {key}\n"
            )
        };
        let demand =
            |prefix: &str| format!("{prefix}.verify = verify_peer\n{prefix}.fail_if_no_peer_cert = true\n");
        let further = format!(
            "listeners.ssl.1 = 127.0.0.1:{amqp}\nmanagement.ssl.ip = 127.0.0.1\nmanagement.ssl.port = {management}\n{}{}{}{}",
            part("ssl_options"),
            demand("ssl_options"),
            part("management.ssl"),
            demand("management.ssl"),
        );
        let epmd = Arc::new(Epmd::start()?);
        let mut this = Self::prepare(epmd, &unique("skein"), &unique("cookie"), &further)?;
        this.encrypted = Some(Encrypted { amqp, management, _files: files });
        this.start_again().await?;
        Ok(this)
    }

    /// Where AMQP and the management API are spoken over TLS, of a node that was started so.
    #[must_use]
    pub fn tls(&self) -> Option<[SocketAddr; 2]> {
        let at = |port: &Port| (Ipv4Addr::LOCALHOST, port.number()).into();
        self.encrypted.as_ref().map(|Encrypted { amqp, management, .. }| [at(amqp), at(management)])
    }
}
