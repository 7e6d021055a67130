//! What a service shows of itself over TLS, and whom it lets in: as files that the services read.

use std::path::PathBuf;

use anyhow::Result;

use crate::Folder;

/// A service's certificate, and the authority whose clients alone it lets in. Its files are deleted with it.
#[derive(Debug)]
pub struct ServerTls {
    folder: Folder,
}

impl ServerTls {
    /// From PEM texts: the authority of the clients' certificates, the service's own certificate and its key (PKCS#8).
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn new(clients: &str, certificate: &str, key: &str) -> Result<Self> {
        let this = Self { folder: Folder::new("tls")? };
        std::fs::write(this.clients(), clients)?;
        std::fs::write(this.certificate(), certificate)?;
        std::fs::write(this.key(), key)?;
        std::fs::write(this.both(), format!("{key}{certificate}"))?;
        Ok(this)
    }

    /// The authority of the clients.
    pub(crate) fn clients(&self) -> PathBuf {
        self.folder.join("clients.pem")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("server.key")
    }

    /// Key and certificate in one file, as ZooKeeper reads them.
    pub(crate) fn both(&self) -> PathBuf {
        self.folder.join("both.pem")
    }
}
