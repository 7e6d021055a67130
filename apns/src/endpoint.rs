//! Where APNs is reached, and by which way.

use crate::secret::Secret;
use crate::tls::Roots;
use rustls::pki_types::ServerName;

/// Which of Apple's two worlds: device tokens and credentials of one mean nothing in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// Apps from the App Store, TestFlight, and in-house distribution.
    Production,
    /// Apps built for development.
    Sandbox,
}

impl Environment {
    /// For messages, metrics and columns.
    pub fn label(self) -> &'static str {
        match self {
            Environment::Production => "production",
            Environment::Sandbox => "sandbox",
        }
    }
}

/// Apple's other port, for firewalls that block 443.
pub const ALTERNATIVE_PORT: u16 = 2197;

/// A host and port that speak APNs.
#[derive(Clone, Debug)]
pub struct Endpoint {
    host: Box<str>,
    port: u16,
    name: ServerName<'static>,
    environment: Environment,
}

/// A host that can't be a server's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a dns name nor an ip address")]
pub struct BadHost(String);

impl Endpoint {
    /// Apple's host of an environment, on port 443.
    pub fn apple(environment: Environment) -> Self {
        let host = match environment {
            Environment::Production => "api.push.apple.com",
            Environment::Sandbox => "api.sandbox.push.apple.com",
        };
        let name = ServerName::try_from(host).expect("apple's host is a dns name");
        Self { host: host.into(), port: 443, name, environment }
    }

    /// Apple's host where broadcast channels of an environment are managed; each has a port of its own.
    pub fn apple_channels(environment: Environment) -> Self {
        let (host, port) = match environment {
            Environment::Production => ("api-manage-broadcast.push.apple.com", 2196),
            Environment::Sandbox => ("api-manage-broadcast.sandbox.push.apple.com", 2195),
        };
        let name = ServerName::try_from(host).expect("apple's host is a dns name");
        Self { host: host.into(), port, name, environment }
    }

    /// Any other host: a simulator, a relay.
    pub fn custom(host: &str, port: u16, environment: Environment) -> Result<Self, BadHost> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| BadHost(host.to_owned()))?;
        Ok(Self { host: host.into(), port, name, environment })
    }

    /// The same host on another port.
    pub fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// DNS name or IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whose tokens it takes.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// `:authority`: the port only where it is not 443; an IPv6 address in brackets.
    pub(crate) fn authority(&self) -> Box<str> {
        let host = bracketed(&self.host);
        if self.port == 443 { host.into() } else { format!("{host}:{}", self.port).into() }
    }
}

/// An HTTP proxy that opens tunnels (CONNECT). TLS to APNs runs end to end through it.
#[derive(Clone)]
pub struct Proxy {
    /// DNS name or IP address.
    pub host: Box<str>,
    /// TCP port.
    pub port: u16,
    /// User name and password, for basic authentication.
    pub user: Option<(Box<str>, Secret)>,
    /// TLS to the proxy itself, with whom to believe to be it; `None` for plain HTTP, which shows the password to the
    /// network between.
    pub tls: Option<Roots>,
}

impl Proxy {
    /// A proxy that is spoken to in plain HTTP and asks for no user.
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port, user: None, tls: None }
    }
}

/// The password stays out of it.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "Proxy({scheme}://{}:{})", bracketed(&self.host), self.port)
    }
}

pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        assert_eq!(&*Endpoint::apple(Environment::Production).authority(), "api.push.apple.com");
        let other = Endpoint::apple(Environment::Sandbox).on_port(ALTERNATIVE_PORT);
        assert_eq!(&*other.authority(), "api.sandbox.push.apple.com:2197");
        let v6 = Endpoint::custom("::1", 8443, Environment::Sandbox).unwrap();
        assert_eq!(&*v6.authority(), "[::1]:8443");
        assert!(Endpoint::custom("no host", 1, Environment::Sandbox).is_err());
    }
}
