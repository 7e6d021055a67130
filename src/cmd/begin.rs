//! What a sender begins with: its files, and over them the live settings that it went by last.

use skein_config::{Files, Live, Loaded, OwnershipMode};

use super::{load_for, load_with};
use crate::args::Common;
use crate::exit::Failure;
use crate::wiring;
use crate::wiring::live::Notebook;

/// What a sender begins with.
pub struct Begun {
    /// The configuration.
    pub loaded: Loaded,
    /// The live settings that it has over its files: those that the sender went by last.
    pub live: Option<Live>,
    /// Versions that were kept and can't be used any more, each with why.
    pub unusable: Vec<(u64, Failure)>,
}

/// The configuration to begin with. Only what it comes to is checked: a file that the live settings have put another in place of
/// may be gone.
///
/// # Errors
/// The faults of the files, if nothing is kept that can be used.
pub fn load(common: &Common) -> Result<Begun, Failure> {
    let mut unusable = Vec::new();
    for live in kept(common) {
        let loaded = load_with(common, Some(live.clone()));
        let usable = loaded.and_then(|loaded| wiring::credentials::check(&loaded.config).map(|()| loaded));
        match usable {
            Ok(loaded) => return Ok(Begun { loaded, live: Some(live), unusable }),
            Err(failure) => unusable.push((live.version, failure)),
        }
    }
    Ok(Begun { loaded: load_for(common, Files::SENDER)?, live: None, unusable })
}

/// The live settings that this sender went by last, the best first.
fn kept(common: &Common) -> Vec<Live> {
    // Where they are does not hang on any file of a credential.
    let Ok(loaded) = load_for(common, Files::NONE) else { return Vec::new() };
    match loaded.config.ownership_mode() {
        OwnershipMode::Fleet => Notebook::of(&loaded.config).map(|kept| kept.read()).unwrap_or_default(),
        OwnershipMode::All | OwnershipMode::Listed => Vec::new(),
    }
}

#[cfg(test)]
pub mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::Engine as _;

    use super::*;

    const CONFIG: &str = r#"
        engine = "cluster"
        [broker]
        urls = ["amqp://127.0.0.1:5672"]
        [ledger]
        url = "postgres://127.0.0.1:5432/skein"
        fingerprint_key_file = "fingerprint.key"
        [coordinator]
        servers = ["127.0.0.1:2181"]
        [sender]
        member = "s1"
        state_folder = "."
        [pools.im]
        environment = "sandbox"
        topics = ["com.example.im"]
        [pools.im.credential]
        kind = "token"
        key_file = "old.p8"
        key_id = "OLDKEY0001"
        team_id = "TEAM567890"
    "#;

    /// Writes a file that only its owner may read.
    pub fn private(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A new `.p8`.
    pub fn key() -> String {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let body = base64::engine::general_purpose::STANDARD.encode(key.unwrap().as_ref());
        format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
    }

    /// A sender that has rotated to a key in another file starts without the one that its files name; on a new disk it needs that.
    #[test]
    fn the_files_that_live_settings_have_replaced_may_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("skein.toml"), CONFIG).unwrap();
        private(&at("fingerprint.key"), &"ab".repeat(32));
        private(&at("new.p8"), &key());
        let common = Common { files: vec![at("skein.toml")], settings: Vec::new(), json: false };
        assert!(load(&common).is_err(), "nothing is kept, and old.p8 is not there");

        let notebook = Notebook::of(&load_for(&common, Files::NONE).unwrap().config).unwrap();
        let version = |version, key_file: &str| {
            let key_file = at(key_file).display().to_string();
            let settings = [("pools.im.credential.key_file".to_owned(), key_file)].into();
            Live { version, settings, files: Files::SENDER }
        };
        notebook.keep(&version(3, "new.p8"), None);
        let begun = load(&common).unwrap();
        assert_eq!(begun.live, Some(version(3, "new.p8")));
        assert_eq!(begun.loaded.config.pools["im"].credential.files(), [at("new.p8")]);

        // What was on trial is better than nothing.
        notebook.keep(&version(2, "gone.p8"), Some(&version(3, "new.p8")));
        let begun = load(&common).unwrap();
        assert_eq!((begun.live.unwrap().version, begun.unusable.len()), (3, 1));
        private(&at("new.p8"), "no key");
        private(&at("old.p8"), &key());
        let begun = load(&common).unwrap();
        assert_eq!((begun.live, begun.unusable.len()), (None, 2), "the files alone");
    }
}
