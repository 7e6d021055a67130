//! One member of the fleet: its sender process, its lives, and the relays in front of what it speaks to.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use skein_apns_sim::clock::monotonic_ns;
use skein_tests::{
    ports::Port,
    process::{Child, skein},
    relay::Relay,
};

/// Senders are told apart in the simulator's log by addresses from here on.
const FIRST_SOURCE: u8 = 10;

/// The relays in front of what one sender speaks to.
pub struct Relays {
    /// The simulator sees its own address for each sender, so there is always one.
    pub apns: Relay,
    pub broker: Relay,
    pub zookeeper: Relay,
    pub ledger: Relay,
}

impl Relays {
    pub async fn start(
        number: u8,
        apns: SocketAddr,
        broker: SocketAddr,
        zookeeper: SocketAddr,
        ledger: SocketAddr,
    ) -> Self {
        Self {
            apns: Relay::start_from(apns, source(number)).await.unwrap(),
            broker: Relay::start(broker).await.unwrap(),
            zookeeper: Relay::start(zookeeper).await.unwrap(),
            ledger: Relay::start(ledger).await.unwrap(),
        }
    }
}

fn source(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, FIRST_SOURCE + number)
}

/// Which sender has this address in the simulator's log.
pub fn number_of(peer: IpAddr) -> Option<u8> {
    match peer {
        IpAddr::V4(address) => address.octets()[3].checked_sub(FIRST_SOURCE),
        IpAddr::V6(_) => None,
    }
}

/// One process of a member, by the simulator's clock.
#[derive(Debug, Clone)]
pub struct Life {
    pub began_ns: u64,
    pub ended_ns: Option<u64>,
    /// It was frozen, and let go on at these instants.
    pub thawed_ns: Vec<u64>,
}

/// A member.
pub struct Sender {
    pub number: u8,
    pub name: String,
    pub relays: Relays,
    pub lives: Vec<Life>,
    pages: Port,
    config: PathBuf,
    child: Option<Child>,
    /// The logs of all its lives that are over.
    log: String,
}

impl Sender {
    pub fn new(number: u8, name: String, relays: Relays, pages: Port, config: PathBuf) -> Self {
        Self { number, name, relays, lives: Vec::new(), pages, config, child: None, log: String::new() }
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// The same, with these environment variables.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        self.start_as(&[], environment);
    }

    /// The same, with these arguments too.
    pub fn start_as(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        let config = self.config.display().to_string();
        let mut program = skein(["run", "sender", "--config", &config]).unwrap();
        program.command().args(arguments);
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let began_ns = monotonic_ns();
        self.child = Some(program.start().unwrap());
        self.lives.push(Life { began_ns, ended_ns: None, thawed_ns: Vec::new() });
    }

    /// Another process of the same member beside this one, with these settings.
    pub fn beside(&self, settings: &[&str]) -> Child {
        let config = self.config.display().to_string();
        let mut program =
            skein(["run", "sender", "--config", &config, "--set", "http.listen=127.0.0.1:0"]).unwrap();
        for setting in settings {
            program.command().args(["--set", setting]);
        }
        program.start().unwrap()
    }

    /// The same, as the member's next life; gives the one before, which runs on.
    pub fn replace(&mut self, settings: &[&str]) -> Child {
        let began_ns = monotonic_ns();
        let next = self.beside(settings);
        self.lives.push(Life { began_ns, ended_ns: None, thawed_ns: Vec::new() });
        self.child.replace(next).expect("this sender does not run")
    }

    /// The life before the present one has ended.
    pub fn predecessor_has_ended(&mut self, child: &Child) {
        let before = self.lives.len() - 2;
        self.lives[before].ended_ns = Some(monotonic_ns());
        self.log.push_str(&child.log());
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().expect("this sender does not run")
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self, limit: Duration) {
        let url = format!("http://127.0.0.1:{}/readyz", self.pages.number());
        self.child().wait_ready(&url, limit).await.unwrap();
    }

    /// `kill -9`; gives the instant before it.
    pub fn kill(&mut self) -> u64 {
        let at = monotonic_ns();
        let mut child = self.child.take().expect("this sender does not run");
        child.kill9();
        self.buried(&child);
        at
    }

    /// SIGSTOP; gives the instant before it.
    pub fn freeze(&mut self) -> u64 {
        let at = monotonic_ns();
        self.child().pause();
        at
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.lives.last_mut().unwrap().thawed_ns.push(monotonic_ns());
        self.child().resume();
    }

    /// SIGTERM; its end is awaited by [`ended`](Self::ended).
    pub fn terminate(&mut self) {
        self.child().terminate();
    }

    /// Waits for the end of a drained sender: its exit code.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("this sender does not run");
        let status = child.wait_exit(limit).await.unwrap();
        self.buried(&child);
        status.code()
    }

    fn buried(&mut self, child: &Child) {
        self.lives.last_mut().unwrap().ended_ns = Some(monotonic_ns());
        self.log.push_str(&child.log());
    }

    /// Everything that all its lives have logged.
    pub fn log(&self) -> String {
        let living = self.child.as_ref().map(Child::log).unwrap_or_default();
        format!("{}{living}", self.log)
    }
}
