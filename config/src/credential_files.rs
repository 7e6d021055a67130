//! The files of a credential, read anew while running, with the checks of a load.

use crate::pool::Credential;
use crate::private_file::{FileFault, check_private_file, read_private_file};
use crate::secret::Secret;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file of a credential, in bytes.
const CREDENTIAL_BYTES_MAX: u64 = 1 << 20;

/// What the files of a credential hold now. Wiped when dropped.
pub struct CredentialBytes {
    /// The `.p8`, `.p12` or PEM file.
    pub main: Zeroizing<Vec<u8>>,
    /// A certificate's private key, if it has a file of its own.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// The password of the `.p12`.
    pub password: Option<Secret>,
}

impl Credential {
    /// Every file that it is read from.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Token { key_file, .. } => vec![key_file.clone()],
            Self::Certificate { file, key_file, password_file, .. } => {
                let mut files = vec![file.clone()];
                files.extend([key_file, password_file].into_iter().flatten().cloned());
                files
            }
        }
    }

    /// Reads its files as they are now; their modes are checked as at a load. Blocks for it.
    ///
    /// # Errors
    /// What is wrong with the first file that can't be used, and what would be right.
    pub fn read(&self) -> Result<CredentialBytes, String> {
        match self {
            Self::Token { key_file, .. } => {
                Ok(CredentialBytes { main: bytes(key_file)?, key: None, password: None })
            }
            Self::Certificate { file, key_file, password, password_file } => Ok(CredentialBytes {
                main: bytes(file)?,
                key: key_file.as_deref().map(bytes).transpose()?,
                password: match password_file {
                    None => password.clone(),
                    Some(path) => Some(text(path)?),
                },
            }),
        }
    }
}

fn bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    check_private_file(path).map_err(told)?;
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(CREDENTIAL_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if bytes.len() as u64 > CREDENTIAL_BYTES_MAX {
        return Err(format!("{} is larger than {CREDENTIAL_BYTES_MAX} bytes", path.display()));
    }
    Ok(bytes)
}

/// A secret's text, as a load takes it: without the line's end.
fn text(path: &Path) -> Result<Secret, String> {
    let text = Zeroizing::new(read_private_file(path).map_err(told)?);
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn told(fault: FileFault) -> String {
    format!("{}; {}", fault.what, fault.remedy)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn private(path: &Path, text: &str) {
        fs::write(path, text).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("mode set");
    }

    #[test]
    fn all_files_are_read_as_they_are_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, password) = (folder.path().join("push.p12"), folder.path().join("password"));
        let credential = Credential::Certificate {
            file: file.clone(),
            key_file: None,
            password: Some(Secret::new("old".to_owned())),
            password_file: Some(password.clone()),
        };
        assert_eq!(credential.files(), [file.clone(), password.clone()]);
        private(&file, "one");
        private(&password, "new\n");
        let read = credential.read().expect("readable");
        assert_eq!((&**read.main, read.password.as_ref().map(Secret::expose)), (&b"one"[..], Some("new")));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode set");
        let why = credential.read().err().expect("refused");
        assert!(why.contains("chmod 0600"), "{why}");
    }
}
