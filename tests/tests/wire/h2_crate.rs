//! A server on the Rust `h2` crate: this test binary again, as a child process.

use crate::authority::Authority;
use crate::h2_server;
use crate::scenarios::{self, Make, contract};
use crate::server::Server;
use skein_tests::process::Program;

/// Set in the child: the server's arguments, one a line.
const ARGUMENTS: &str = "SKEIN_WIRE_H2_SERVER";

fn program() -> Option<Make> {
    Some(|arguments| {
        let mut program = Program::new(std::env::current_exe().unwrap()).env(ARGUMENTS, arguments.join("\n"));
        program.command().args(["--exact", "h2_crate::the_server_itself", "--nocapture"]);
        program
    })
}

/// In the child, the server; otherwise the proof that a child serves.
#[tokio::test]
async fn the_server_itself() {
    match std::env::var(ARGUMENTS) {
        Ok(arguments) => {
            let arguments: Vec<String> = arguments.lines().map(str::to_owned).collect();
            h2_server::serve(&arguments).await;
        }
        Err(_) => {
            let make = program().unwrap();
            let mut server = Server::start(make, &Authority::new(), false, &[]).await;
            assert!(server.child.exit_status().is_none());
        }
    }
}

contract!(program, resets: false, says_why: true);

/// The initial window up and down under load, which the crate can change; its PINGs are answered.
#[tokio::test]
async fn p1_settings_that_change_in_mid_load() {
    scenarios::changing_settings(program().unwrap()).await;
}
