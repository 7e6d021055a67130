//! Files that hold secrets: they must exist, belong to their reader alone, and not be reached through a trap.

use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Largest file with one secret or with API keys, in bytes.
const SECRET_BYTES_MAX: u64 = 1 << 20;

/// What is wrong with a file, and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileFault {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl FileFault {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// A file that anybody may read: it must exist, be a file and open.
pub(crate) fn check_file(path: &Path) -> Result<(), FileFault> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| {
        FileFault::new(format!("{shown}: {error}"), "name a file that exists and that this user can read")
    })?;
    if !metadata.is_file() {
        return Err(FileFault::new(format!("{shown} is no file"), "name a file"));
    }
    fs::File::open(path).map(drop).map_err(|error| {
        FileFault::new(format!("{shown}: {error}"), format!("let this user read it: chown or chmod {shown}"))
    })
}

/// A file with a secret: as [`check_file`], and on Unix readable by its owner alone.
///
/// As PostgreSQL's own rule has it: mode 0600 or less; 0640 or less is let through where root owns the file and this
/// process is not root, since Kubernetes can hand a secret to a user in no other way (`fsGroup`). A symbolic link is
/// followed unless its target lies in a folder that everybody can write to, where anybody could exchange it.
pub(crate) fn check_private_file(path: &Path) -> Result<(), FileFault> {
    check_file(path)?;
    #[cfg(unix)]
    check_mode(path)?;
    Ok(())
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), FileFault> {
    use std::os::unix::fs::MetadataExt as _;
    let shown = path.display();
    let gone = |error: std::io::Error| FileFault::new(format!("{shown}: {error}"), "name a file that exists");
    let metadata = fs::metadata(path).map_err(gone)?;
    let forbidden = forbidden_bits(metadata.uid() == 0, rustix::process::geteuid().is_root());
    if metadata.mode() & forbidden != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(FileFault::new(
            format!("{shown} has mode {mode:04o}, so others than its owner can use the secret in it"),
            format!("chmod 0600 {shown}"),
        ));
    }
    if fs::symlink_metadata(path).map_err(gone)?.file_type().is_symlink() {
        let target = fs::canonicalize(path).map_err(gone)?;
        let folder = target.parent().unwrap_or(Path::new("/"));
        if fs::metadata(folder).map_err(gone)?.mode() & 0o002 != 0 {
            return Err(FileFault::new(
                format!("{shown} is a link into {}, where everybody can write", folder.display()),
                "name the file itself, in a folder that only its owner can write to",
            ));
        }
    }
    Ok(())
}

/// The bits of a mode that a file with a secret may not have.
#[cfg(unix)]
fn forbidden_bits(root_owns_it: bool, we_are_root: bool) -> u32 {
    if root_owns_it && !we_are_root { 0o137 } else { 0o177 }
}

/// Reads a file with a secret after checking it.
pub(crate) fn read_private_file(path: &Path) -> Result<String, FileFault> {
    check_private_file(path)?;
    let shown = path.display();
    let mut text = String::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text));
    if let Err(error) = read {
        return Err(FileFault::new(format!("{shown}: {error}"), "name a text file in UTF-8"));
    }
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(FileFault::new(
            format!("{shown} is larger than {SECRET_BYTES_MAX} bytes"),
            "name the file with the secret",
        ));
    }
    Ok(text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn with_mode(folder: &Path, name: &str, mode: u32) -> std::path::PathBuf {
        let path = folder.join(name);
        fs::write(&path, "s").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode set");
        path
    }

    /// P9: secrets stay inside.
    #[test]
    fn only_the_owner_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        for (mode, good) in
            [(0o600, true), (0o400, true), (0o644, false), (0o660, false), (0o604, false), (0o700, false)]
        {
            let path = with_mode(folder.path(), &format!("{mode:o}"), mode);
            let result = check_private_file(&path);
            assert_eq!(result.is_ok(), good, "{mode:o}: {result:?}");
            if let Err(fault) = result {
                assert!(fault.what.contains(&format!("mode {mode:04o}")), "{fault:?}");
                assert_eq!(fault.remedy, format!("chmod 0600 {}", path.display()));
            }
        }
    }

    #[test]
    fn root_may_hand_a_secret_to_a_group() {
        for (mode, forbidden) in [(0o440, false), (0o640, false), (0o660, true), (0o644, true), (0o444, true)]
        {
            assert_eq!(mode & forbidden_bits(true, false) != 0, forbidden, "{mode:o}");
            assert_ne!(mode & forbidden_bits(true, true), 0, "{mode:o}");
            assert_ne!(mode & forbidden_bits(false, false), 0, "{mode:o}");
        }
    }

    #[test]
    fn link_into_an_open_folder_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = folder.path().join("open");
        fs::create_dir(&open).expect("made");
        let target = with_mode(&open, "key", 0o600);
        let link = folder.path().join("link");
        symlink(&target, &link).expect("linked");
        assert_eq!(check_private_file(&link), Ok(()));
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("mode set");
        let fault = check_private_file(&link).expect_err("refused");
        assert!(fault.what.contains("where everybody can write"), "{fault:?}");
    }

    #[test]
    fn missing_file_and_folder_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(check_file(&folder.path().join("none")).is_err_and(|f| f.what.contains("No such file")));
        assert!(check_file(folder.path()).is_err_and(|f| f.what.ends_with("is no file")));
    }
}
