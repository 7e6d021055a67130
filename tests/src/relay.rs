//! A TCP relay in front of a real server, which cuts, freezes, silences, delays and refuses on command.
//!
//! ```no_run
//! # async fn test(broker: &skein_tests::services::RabbitMq) -> std::io::Result<()> {
//! use skein_tests::relay::{Relay, Side};
//! let relay = Relay::start(broker.amqp()).await?;
//! let _connect_here = relay.address();
//! relay.cut_all(); // RST on both sides
//! relay.silence(); // both sides stay open, and no byte passes any more
//! relay.cut(Side::Client); // the client learns it, the server doesn't: half open
//! # Ok(()) }
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::ports::Port;

const BUFFER_BYTES: usize = 64 << 10;

/// A side of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who connected to the relay.
    Client,
    /// Whom the relay connected to.
    Server,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Passing,
    Frozen,
    Silent,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    delay: Duration,
    refusing: bool,
    client_cuts: u64,
    server_cuts: u64,
}

#[derive(Debug, Default)]
struct Counters {
    to_server: AtomicU64,
    to_client: AtomicU64,
    open: AtomicUsize,
    accepted: AtomicU64,
}

/// A running relay on its own loopback port; its connections end with it.
#[derive(Debug)]
pub struct Relay {
    port: Port,
    orders: watch::Sender<Orders>,
    counters: Arc<Counters>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens on a port of its own and forwards every connection to `server`.
    ///
    /// # Errors
    /// When the port can't be bound.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        Self::start_from(server, Ipv4Addr::LOCALHOST).await
    }

    /// The same, and the server sees `source` (of 127.0.0.0/8, which Linux holds whole) as the address of every client: by it
    /// the server's log tells one relay's clients from another's.
    ///
    /// # Errors
    /// When the port can't be bound.
    pub async fn start_from(server: SocketAddr, source: Ipv4Addr) -> io::Result<Self> {
        let port = Port::claim();
        let address = (Ipv4Addr::LOCALHOST, port.number()).into();
        let listener = TcpListener::bind(address).await?;
        let (orders, seen) = watch::channel(Orders {
            mode: Mode::Passing,
            delay: Duration::ZERO,
            refusing: false,
            client_cuts: 0,
            server_cuts: 0,
        });
        let counters = Arc::<Counters>::default();
        let task = tokio::spawn(listen(address, listener, (source, server), seen, Arc::clone(&counters)));
        Ok(Self { port, orders, counters, task })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number()).into()
    }

    /// Resets every open connection on both sides; what is sent from now on never passes.
    pub fn cut_all(&self) {
        self.orders.send_modify(|orders| {
            orders.client_cuts += 1;
            orders.server_cuts += 1;
        });
    }

    /// Resets one side of every open connection; the other stays open and hears nothing more,
    /// not even what is sent right after this call.
    pub fn cut(&self, side: Side) {
        self.orders.send_modify(|orders| match side {
            Side::Client => orders.client_cuts += 1,
            Side::Server => orders.server_cuts += 1,
        });
    }

    /// From now on every byte is swallowed, both ways, and no socket closes: a path that is lost.
    ///
    /// A connection from which a byte was swallowed passes nothing even after [`resume`](Self::resume).
    pub fn silence(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Silent);
    }

    /// Holds every byte back until [`resume`](Self::resume), which then delivers it: a path that stalls.
    pub fn freeze(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Frozen);
    }

    /// Ends [`silence`](Self::silence) and [`freeze`](Self::freeze).
    pub fn resume(&self) {
        self.orders.send_modify(|orders| orders.mode = Mode::Passing);
    }

    /// Holds each portion read (up to 64 KiB) back for `delay`, each way; zero ends it.
    pub fn set_delay(&self, delay: Duration) {
        self.orders.send_modify(|orders| orders.delay = delay);
    }

    /// While refusing, nothing listens on the port ("connection refused"); open connections go on.
    pub fn set_refusing(&self, refusing: bool) {
        self.orders.send_modify(|orders| orders.refusing = refusing);
    }

    /// How many connections are open, half-open ones included.
    #[must_use]
    pub fn open(&self) -> usize {
        self.counters.open.load(Ordering::Relaxed)
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::Relaxed)
    }

    /// How many bytes were delivered towards a side.
    #[must_use]
    pub fn bytes_to(&self, side: Side) -> u64 {
        match side {
            Side::Client => self.counters.to_client.load(Ordering::Relaxed),
            Side::Server => self.counters.to_server.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(
    address: SocketAddr,
    listener: TcpListener,
    way: (Ipv4Addr, SocketAddr),
    mut orders: watch::Receiver<Orders>,
    counters: Arc<Counters>,
) {
    let mut connections = JoinSet::new();
    let inherited = orders.clone();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            if orders.wait_for(|orders| !orders.refusing).await.is_err() {
                return;
            }
            listener = TcpListener::bind(address).await.ok();
            continue;
        };
        tokio::select! {
            biased;
            Ok(_) = orders.wait_for(|orders| orders.refusing) => listener = None,
            accepted = open.accept() => match accepted {
                // It came before the order was seen.
                Ok((client, _)) if inherited.borrow().refusing => reset(Some(client)),
                Ok((client, _)) => {
                    counters.accepted.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(connection(client, way, inherited.clone(), Arc::clone(&counters)));
                }
                Err(_) => {}
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(
    mut client: TcpStream,
    way: (Ipv4Addr, SocketAddr),
    mut orders: watch::Receiver<Orders>,
    counters: Arc<Counters>,
) {
    counters.open.fetch_add(1, Ordering::Relaxed);
    let _open = Open(Arc::clone(&counters));
    let start = *orders.borrow_and_update();
    let Ok(mut server) = connect(way).await else {
        let _gone = client.set_zero_linger();
        return;
    };
    let _best_effort = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let cut = orders.clone();
    let passing = async {
        tokio::join!(
            pump(from_client, to_server, orders.clone(), &counters.to_server),
            pump(from_server, to_client, orders.clone(), &counters.to_client),
        );
    };
    // In this order: what is sent after a cut was ordered never passes.
    let was_cut = tokio::select! {
        biased;
        () = cut_ordered(cut, start) => true,
        () = passing => false,
    };
    if !was_cut {
        return;
    }
    let (mut client, mut server) = (Some(client), Some(server));
    loop {
        let now = *orders.borrow_and_update();
        if now.client_cuts > start.client_cuts {
            reset(client.take());
        }
        if now.server_cuts > start.server_cuts {
            reset(server.take());
        }
        if client.is_none() && server.is_none() || orders.changed().await.is_err() {
            return;
        }
    }
}

async fn connect((source, server): (Ipv4Addr, SocketAddr)) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if source != Ipv4Addr::LOCALHOST {
        socket.bind((source, 0).into())?;
    }
    socket.connect(server).await
}

async fn cut_ordered(mut orders: watch::Receiver<Orders>, start: Orders) {
    let cut = |now: &Orders| now.client_cuts > start.client_cuts || now.server_cuts > start.server_cuts;
    if orders.wait_for(cut).await.is_err() {
        std::future::pending().await
    }
}

/// Closing with a linger time of zero sends RST and drops what is unsent.
fn reset(stream: Option<TcpStream>) {
    if let Some(stream) = stream {
        let _gone = stream.set_zero_linger();
    }
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut orders: watch::Receiver<Orders>,
    count: &AtomicU64,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut lost = false;
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let delay = orders.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let Ok(now) = orders.wait_for(|orders| orders.mode != Mode::Frozen).await.map(|now| *now) else {
            return;
        };
        lost |= now.mode == Mode::Silent;
        if lost {
            if read == 0 {
                return std::future::pending().await;
            }
            continue;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _gone = to.shutdown().await;
            return;
        }
        count.fetch_add(read as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
