//! A server under test as a child process, and its own account of what it read.

use crate::authority::Authority;
use skein_tests::ports::Port;
use skein_tests::process::{Child, Program};
use std::time::Duration;

/// Longer than any start needs; a Java machine on two busy cores takes seconds.
const START_MAX: Duration = Duration::from_secs(20);

pub struct Server {
    pub child: Child,
    port: Port,
}

impl Server {
    /// Starts what `program` makes for a port, and waits for the line that says it listens.
    pub async fn start(program: impl FnOnce(u16) -> Program, ready: &str) -> Self {
        let port = Port::claim();
        let child = started(program(port.number()), ready).await;
        Self { child, port }
    }

    /// `kill -9`, and the same program again on the same port. Gives the old one, for its account.
    pub async fn replace(&mut self, program: impl FnOnce(u16) -> Program, ready: &str) -> Child {
        self.child.kill9();
        let child = started(program(self.port.number()), ready).await;
        std::mem::replace(&mut self.child, child)
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

async fn started(program: Program, ready: &str) -> Child {
    let mut child = program.start().unwrap();
    child.wait_for_line(ready, START_MAX).await.unwrap();
    child
}

/// `--cert FILE --key FILE`, and `--ca FILE` where client certificates are asked for.
pub fn tls_arguments(authority: &Authority, mutual: bool) -> Vec<String> {
    let mut named = vec![("--cert", "cert.pem"), ("--key", "key.pem")];
    if mutual {
        named.push(("--ca", "ca.pem"));
    }
    let path = |name| authority.file(name).to_str().unwrap().to_owned();
    named.into_iter().flat_map(|(option, name)| [option.to_owned(), path(name)]).collect()
}
