//! The passwords of a cluster's users: one file each, made once, mode 0600, taken from there ever after. Never printed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::step::Service;

/// Random bytes of a password: no search finds 256 bits, whatever the service's digest is.
const PASSWORD_BYTES: usize = 32;
/// The longest file that is taken for a password, in bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// The folder of the passwords.
#[derive(Debug, Clone)]
pub struct Credentials {
    folder: PathBuf,
}

/// Why a password can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file system refuses.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others than the owner may read it.
    #[error("{} is readable by others than its owner; chmod 0600 it, and change the password if it was", .0.display())]
    Open(PathBuf),
    /// Nothing in it, or no text.
    #[error("{} holds no password; delete it, and a new one is made", .0.display())]
    Empty(PathBuf),
}

impl Credentials {
    /// The passwords in this folder, which is made with the first one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file of a user's password.
    pub fn path(&self, service: Service, user: &str) -> PathBuf {
        self.folder.join(format!("{}-{user}.password", service.label()))
    }

    /// A user's password, if there is one.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn find(&self, service: Service, user: &str) -> Result<Option<Zeroizing<String>>, CredentialsError> {
        let path = self.path(service, user);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CredentialsError::Io { path, error }),
        };
        if others_may_read(&metadata) {
            return Err(CredentialsError::Open(path));
        }
        if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
            return Err(CredentialsError::Empty(path));
        }
        let text = fs::read_to_string(&path).map(Zeroizing::new);
        let text = text.map_err(|error| CredentialsError::Io { path: path.clone(), error })?;
        let password = Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned());
        if password.is_empty() { Err(CredentialsError::Empty(path)) } else { Ok(Some(password)) }
    }

    /// A user's password; made if there is none.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn find_or_make(&self, service: Service, user: &str) -> Result<Zeroizing<String>, CredentialsError> {
        if let Some(password) = self.find(service, user)? {
            return Ok(password);
        }
        let path = self.path(service, user);
        let io = |error| CredentialsError::Io { path: path.clone(), error };
        make_folder(&self.folder).map_err(io)?;
        let mut bytes = Zeroizing::new([0; PASSWORD_BYTES]);
        aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| io(io::Error::other("no random bytes")))?;
        let password = Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes));
        write_private(&path, &password).map_err(io)?;
        Ok(password)
    }
}

#[cfg(unix)]
fn others_may_read(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    // Where root owns it and we are not root, its group may: Kubernetes hands a secret to a user in no other way (`fsGroup`).
    let by_group = metadata.uid() == 0 && !rustix::process::geteuid().is_root();
    metadata.mode() & if by_group { 0o037 } else { 0o077 } != 0
}

#[cfg(not(unix))]
fn others_may_read(_: &fs::Metadata) -> bool {
    false
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Whole or not at all: under another name first, so that a run that is cut leaves no half password behind.
fn write_private(path: &Path, password: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn p9_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let credentials = Credentials::new(folder.path().join("passwords"));
        assert!(credentials.find(Service::RabbitMq, "a").expect("no fault").is_none());
        let first = credentials.find_or_make(Service::RabbitMq, "a").expect("a password");
        assert_eq!(first.len(), 43);
        assert_eq!(*credentials.find_or_make(Service::RabbitMq, "a").expect("the same"), *first);
        assert_ne!(*credentials.find_or_make(Service::PostgreSql, "a").expect("another"), *first);
        let path = credentials.path(Service::RabbitMq, "a");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!format!("{credentials:?}").contains(&**first));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("a mode");
        assert!(matches!(credentials.find(Service::RabbitMq, "a"), Err(CredentialsError::Open(_))));
    }
}
