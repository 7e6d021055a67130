//! Key files of a test's own: a provider key as Apple hands it out, 32-byte keys, an API key.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

/// The provider key's id.
pub const KEY_ID: &str = "ABCDE12345";
/// Its team.
pub const TEAM_ID: &str = "TEAM123456";
/// What a backend shows the gateway.
pub const API_KEY: &str = "a-key-of-the-tests";

/// A new `.p8`: a P-256 private key as PKCS#8 PEM.
pub fn provider_key() -> String {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem()
}

/// The line of the gateway's file of keys for [`API_KEY`].
pub fn api_key_line() -> String {
    format!("tests = {}\n", blake3::hash(API_KEY.as_bytes()).to_hex())
}

/// Writes a file that only its owner may read.
pub fn private_file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}
