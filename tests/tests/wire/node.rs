//! Node's `http2`, which is nghttp2 in the server's role with a life of its own around it.

use crate::scenarios::{self, Make, contract};
use skein_tests::process::Program;
use skein_tests::skipped::lacks;
use skein_tests::workspace_folder;

fn program() -> Option<Make> {
    if lacks(&["node"]) {
        return None;
    }
    Some(|arguments| {
        let mut program = Program::new("node");
        program.command().arg(workspace_folder().join("tests/wire-servers/node/server.mjs")).args(arguments);
        program
    })
}

// Node looks at a client's certificate after the handshake, and hangs up without an alert.
contract!(program, resets: false, says_why: false);

/// Streams, windows, tables and frame sizes up and down under load; its PINGs are answered.
#[tokio::test]
async fn p1_settings_that_change_in_mid_load() {
    let Some(make) = program() else { return };
    scenarios::changing_settings(make).await;
}
