//! A server under test as a child process.

use crate::authority::Authority;
use skein_tests::ports::Port;
use skein_tests::process::{Child, Program};
use std::time::Duration;

/// Longer than any start needs; a Java machine on two busy cores takes seconds.
const START_MAX: Duration = Duration::from_secs(60);

pub struct Server {
    pub child: Child,
    port: Port,
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server that keeps to `tests/wire-servers/README.md`; `mutual`: it demands a client certificate.
    pub async fn start(
        make: impl FnOnce(&[String]) -> Program,
        authority: &Authority,
        mutual: bool,
        options: &[&str],
    ) -> Self {
        let mut files = vec![("--cert", "cert.pem"), ("--key", "key.pem")];
        if mutual {
            files.push(("--ca", "ca.pem"));
        }
        let path = |name| authority.file(name).to_str().unwrap().to_owned();
        let files = files.into_iter().flat_map(|(option, name)| [option.to_owned(), path(name)]);
        let mut arguments: Vec<String> =
            files.chain(options.iter().map(|&option| option.to_owned())).collect();
        let port = Port::claim();
        arguments.extend(["--port".to_owned(), port.to_string()]);
        let child = listening(make(&arguments), "listening").await;
        Self { child, port, arguments }
    }

    /// Starts any other server; `ready` is in a line of its output.
    pub async fn start_other(program: impl FnOnce(u16) -> Program, ready: &str) -> Self {
        let port = Port::claim();
        let child = listening(program(port.number()), ready).await;
        Self { child, port, arguments: Vec::new() }
    }

    /// `kill -9`, and the same again on the same port, not waited for. Gives the dead one, for its account.
    pub fn replace(&mut self, make: impl FnOnce(&[String]) -> Program) -> Child {
        self.child.kill9();
        let successor = make(&self.arguments).start().unwrap();
        std::mem::replace(&mut self.child, successor)
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

async fn listening(program: Program, ready: &str) -> Child {
    let mut child = program.start().unwrap();
    child.wait_for_line(ready, START_MAX).await.unwrap();
    child
}
