//! The services' addresses as one string each, with the login in it, for drivers that take it so.

use crate::secret::Secret;
use crate::service_url::{ServiceUrl, encode};
use crate::settings::{Broker, Ledger};

impl Broker {
    /// Each node's AMQP URI with user, password and virtual host; empty if no address is set.
    ///
    /// A user or password within an address goes before `username` and `password`.
    #[must_use]
    pub fn uris(&self) -> Vec<Secret> {
        let path = format!("/{}", encode(&self.vhost));
        let uri = |url: &ServiceUrl| url.with_login(self.username.as_deref(), self.password.as_ref(), &path);
        self.urls.iter().flatten().map(uri).collect()
    }
}

impl Ledger {
    /// The database's URI with user and password; TLS is not in it, see [`Ledger::tls`].
    #[must_use]
    pub fn uri(&self) -> Option<Secret> {
        let url = self.url.as_ref()?;
        Some(url.with_login(self.username.as_deref(), self.password.as_ref(), ""))
    }
}
