//! Where a broker is, with its secret kept out of every print.

use std::fmt;
use std::str::FromStr;

use lapin::uri::AMQPUri;

/// `amqp[s]://user:password@host:port/vhost`. Prints as `host:port`.
#[derive(Clone)]
pub struct BrokerAddress(AMQPUri);

/// A text is no address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a broker address; write amqp://user:password@host:5672/vhost (amqps:// for TLS, %2f for the vhost /)"
)]
pub struct BadAddress;

impl BrokerAddress {
    /// The same broker and virtual host, as another user.
    #[must_use]
    pub fn with_login(&self, user: &str, password: &str) -> Self {
        let mut uri = self.0.clone();
        uri.authority.userinfo.username = user.to_owned();
        uri.authority.userinfo.password = password.to_owned();
        Self(uri)
    }

    /// The same broker and user, in another virtual host.
    #[must_use]
    pub fn with_vhost(&self, vhost: &str) -> Self {
        let mut uri = self.0.clone();
        uri.vhost = vhost.to_owned();
        Self(uri)
    }

    pub(super) fn uri(&self) -> &AMQPUri {
        &self.0
    }
}

impl FromStr for BrokerAddress {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        text.parse().map(Self).map_err(|_| BadAddress)
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.authority.host, self.0.authority.port)
    }
}

impl fmt::Debug for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_no_secret() {
        let address: BrokerAddress = "amqp://skein:swordfish@mq1:5673/%2f".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "mq1:5673 mq1:5673", "P9");
        assert_eq!("mq1".parse::<BrokerAddress>().unwrap_err(), BadAddress);
    }
}
