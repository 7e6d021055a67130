//! ZooKeeper servers of our own, one or an ensemble (short ticks: sessions from 1 s on).

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OnceCell,
};

use super::{Folder, programs, start_process, unique};
use crate::{guard::Guarded, ports::Port, tls::ServerTls};

const STOP_LIMIT: Duration = Duration::from_secs(60);
const WORD_LIMIT: Duration = Duration::from_secs(2);

/// Where a running ZooKeeper is.
#[derive(Debug, Clone)]
pub struct ZooKeeperAddress {
    client: SocketAddr,
}

impl ZooKeeperAddress {
    /// The connect string: `127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.client.to_string()
    }

    /// Where the server listens; what a relay goes in front of.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.client
    }

    /// A connect string with a chroot of its own, `127.0.0.1:PORT/NAME_…`; the client has to create that path.
    #[must_use]
    pub fn chroot(&self, name: &str) -> String {
        format!("{}/{}", self.client, unique(name))
    }

    /// Sends a four-letter word (`srvr`, `cons`, `dump`, …) and gives the answer.
    ///
    /// # Errors
    /// When the server does not answer within 2 s.
    pub async fn word(&self, word: &str) -> Result<String> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.client).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        tokio::time::timeout(WORD_LIMIT, exchange).await.context("ZooKeeper does not answer")?
    }

    /// Whether this server leads its ensemble.
    ///
    /// # Errors
    /// As [`word`](Self::word).
    pub async fn leads(&self) -> Result<bool> {
        Ok(self.word("srvr").await?.contains("Mode: leader"))
    }

    async fn answers(&self) -> Option<()> {
        self.word("srvr").await.ok()?.contains("Mode:").then_some(())
    }
}

/// A private ZooKeeper; ended and deleted on drop.
#[derive(Debug)]
pub struct ZooKeeper {
    address: ZooKeeperAddress,
    server: Option<Guarded>,
    _ports: Vec<Port>,
    encrypted: Option<(SocketAddr, ServerTls)>,
    folder: Folder,
}

impl Deref for ZooKeeper {
    type Target = ZooKeeperAddress;

    fn deref(&self) -> &ZooKeeperAddress {
        &self.address
    }
}

impl ZooKeeper {
    /// Starts a server (under 1 s) and waits until it answers `srvr`.
    ///
    /// # Errors
    /// When it is not installed, or does not answer within 90 s; the message ends with its log.
    pub async fn start() -> Result<Self> {
        let mut this = Self::prepare(Port::claim(), "", Vec::new())?;
        this.start_again().await?;
        Ok(this)
    }

    /// As [`start`](Self::start), with a port of its own for TLS, at which a client certificate is demanded.
    ///
    /// # Errors
    /// As [`ZooKeeper::start`].
    pub async fn start_with_tls(files: ServerTls) -> Result<Self> {
        let port = Port::claim();
        let (both, clients) = (files.both(), files.clients());
        let lines = format!(
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.location={}\nssl.keyStore.type=PEM\nssl.trustStore.location={}\nssl.trustStore.type=PEM\n\
             ssl.clientAuth=need\n",
            both.display(),
            clients.display(),
        );
        let secure = (Ipv4Addr::LOCALHOST, port.number()).into();
        let mut this = Self::prepare(Port::claim(), &lines, vec![port])?;
        this.encrypted = Some((secure, files));
        this.start_again().await?;
        Ok(this)
    }

    /// Where TLS is spoken, of a server that was started so.
    #[must_use]
    pub fn tls(&self) -> Option<SocketAddr> {
        self.encrypted.as_ref().map(|(secure, _)| *secure)
    }

    /// Which of an ensemble's servers leads it, if one does now.
    pub async fn leader(ensemble: &[Self]) -> Option<usize> {
        for (number, server) in ensemble.iter().enumerate() {
            if server.leads().await.unwrap_or(false) {
                return Some(number);
            }
        }
        None
    }

    /// Starts an ensemble of three servers (about 1 s) and waits until all have joined it.
    ///
    /// # Errors
    /// As [`ZooKeeper::start`].
    pub async fn start_ensemble() -> Result<[Self; 3]> {
        let peers = [(); 3].map(|()| [Port::claim(), Port::claim()]);
        let line = |n: usize| {
            let [peer, election] = &peers[n];
            format!("server.{n}=127.0.0.1:{peer}:{election}\n")
        };
        let lines = [line(0), line(1), line(2)].concat();
        let [a, b, c] = peers.map(|ports| Self::prepare(Port::claim(), &lines, ports.into()));
        let mut ensemble = [a?, b?, c?];
        for (n, server) in ensemble.iter().enumerate() {
            std::fs::write(server.folder.join("data").join("myid"), n.to_string())?;
        }
        let [a, b, c] = &mut ensemble;
        // Together: none of them answers before most are there.
        tokio::try_join!(a.start_again(), b.start_again(), c.start_again())?;
        Ok(ensemble)
    }

    fn prepare(port: Port, further: &str, mut ports: Vec<Port>) -> Result<Self> {
        let folder = Folder::new("zookeeper")?;
        let data = folder.join("data");
        std::fs::create_dir(&data)?;
        let data = data.display();
        let cfg = format!(
            "tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\ninitLimit=20\nsyncLimit=10\n\
             dataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\nmaxClientCnxns=0\n{further}"
        );
        std::fs::write(folder.join("zoo.cfg"), cfg)?;
        let address = ZooKeeperAddress { client: (Ipv4Addr::LOCALHOST, port.number()).into() };
        ports.push(port);
        Ok(Self { address, server: None, _ports: ports, encrypted: None, folder })
    }

    /// One ZooKeeper for all tests: the one `ZOOKEEPER` names, else one of this process. Use a
    /// [`chroot`](ZooKeeperAddress::chroot) of it, and never harm it.
    ///
    /// # Errors
    /// As [`ZooKeeper::start`].
    pub async fn shared() -> Result<&'static ZooKeeperAddress> {
        static GIVEN: OnceCell<Option<ZooKeeperAddress>> = OnceCell::const_new();
        static OWN: OnceCell<ZooKeeper> = OnceCell::const_new();
        let given = async || match super::given(super::ZOOKEEPER) {
            Some(url) => {
                let client = url.parse().with_context(|| format!("{url:?} is no 127.0.0.1:PORT"))?;
                anyhow::Ok(Some(ZooKeeperAddress { client }))
            }
            None => Ok(None),
        };
        if let Some(address) = GIVEN.get_or_try_init(given).await? {
            return Ok(address);
        }
        OWN.get_or_try_init(ZooKeeper::start).await.map(|own| &own.address)
    }

    /// Starts the server again on the same data and port. Old sessions get a full fresh timeout.
    ///
    /// # Errors
    /// When it runs already, or as [`ZooKeeper::start`].
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.server.is_none(), "ZooKeeper is running");
        let answers = async || self.address.answers().await;
        let process =
            start_process("ZooKeeper", self.command()?, &self.folder, Signal::KILL, answers).await?;
        self.server = Some(process);
        Ok(())
    }

    /// [`stop`](Self::stop), then [`start_again`](Self::start_again).
    ///
    /// # Errors
    /// As these.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// `kill -9`; the server is gone when this returns.
    pub fn kill9(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill9();
        }
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it has not ended after 20 s.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::TERM);
            server.wait("ZooKeeper's end", STOP_LIMIT).await?;
        }
        Ok(())
    }

    /// Freezes the server (SIGSTOP).
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// The server's process id, while it runs.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.server.as_ref().map(Guarded::id).into_iter().collect()
    }

    fn signal(&mut self, signal: Signal) {
        if let Some(server) = &mut self.server {
            server.signal_group(signal);
        }
    }

    fn command(&self) -> Result<Command> {
        let java = programs::on_path("java").context("java is not installed (a JRE for zookeeper)")?;
        let class_path = programs::zookeeper_class_path().context("zookeeper is not installed")?;
        let mut command = Command::new(java);
        command
            .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &class_path])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(self.folder.join("zoo.cfg"))
            .current_dir(self.folder.path());
        Ok(command)
    }
}
