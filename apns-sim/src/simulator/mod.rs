//! Starting and stopping a simulator, and the handle to it.

mod handle;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::runtime;

use crate::authority::Authority;
use crate::certificates::Certificates;
use crate::config::SimulatorConfig;
use crate::connection::Role;
use crate::control;
use crate::driver;
use crate::faults::FaultsError;
use crate::log::{LogMode, write_changes};
use crate::shared::{Orders, Shared};
use crate::tls;
pub use handle::Handle;

/// Connections handed to a thread and not yet begun.
const HANDED_OVER_MAX: usize = 1024;
/// Connections that the kernel keeps for us.
const BACKLOG: i32 = 1024;

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// A certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate and key given do not fit.
    #[error("the certificate or key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The faults are not sound.
    #[error(transparent)]
    Faults(#[from] FaultsError),
}

/// Starts simulators.
pub struct Simulator;

impl Simulator {
    /// Starts one on threads of its own. When this returns, it accepts connections.
    pub fn start(config: SimulatorConfig) -> Result<Handle, StartError> {
        config.faults.check()?;
        let authority = Arc::new(authority(config.ca_key.as_deref())?);
        let ca_pem = authority.ca_pem();
        let listener = listen(config.listen)?;
        let addr =
            listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        if let Some(path) = &config.ca_out {
            std::fs::write(path, &ca_pem).map_err(|source| file_error(path, source))?;
        }
        let certificates =
            Arc::new(Certificates::new(config.certificates, authority.ca_der(), config.clock_offset_s)?);
        let shared = Arc::new(Shared::new(&config, Arc::clone(&certificates)));
        let mut names = config.names;
        names.push(addr.ip().to_string());
        let (chain, key) = match config.identity {
            Some(identity) => identity,
            None => authority.server(names)?,
        };
        let tls = tls::server_config(chain, key, certificates)?;
        let mut handle = Handle {
            addr,
            control: None,
            management: None,
            ca_pem,
            authority,
            shared: Arc::clone(&shared),
            serving: Vec::new(),
            log: None,
            stop_log: None,
        };
        if let LogMode::File { path, .. } = &config.log {
            let file = std::fs::File::create(path).map_err(|source| file_error(path, source))?;
            handle.start_log(file)?;
        }
        let (first_inbox, mut inboxes) = handle.start_workers(config.threads.max(1), &tls)?;
        inboxes.insert(0, first_inbox);
        let control = config.control.map(listen).transpose()?;
        let management = config.management.map(listen).transpose()?;
        let address = |listener: &Option<TcpListener>| listener.as_ref()?.local_addr().ok();
        (handle.control, handle.management) = (address(&control), address(&management));
        let role = if management.is_some() { Role::Pushes } else { Role::Everything };
        let doors = [(listener, role)].into_iter().chain(management.map(|door| (door, Role::Management)));
        handle.start_front(doors.collect(), control, inboxes)?;
        Ok(handle)
    }
}

type Accepted = (std::net::TcpStream, u32, Role);
type Inbox = tokio::sync::mpsc::Sender<Accepted>;

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let open = || {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| StartError::Listen { address, source })
}

/// The root of the key in that file, or a new one that is kept there.
fn authority(kept: Option<&Path>) -> Result<Authority, StartError> {
    let Some(path) = kept else { return Ok(Authority::generate()?) };
    match std::fs::read_to_string(path) {
        Ok(pem) => Ok(Authority::of_key(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let authority = Authority::generate()?;
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(path);
            let written = file.and_then(|mut file| file.write_all(authority.key_pem().as_bytes()));
            written.map_err(|source| file_error(path, source))?;
            Ok(authority)
        }
        Err(source) => Err(file_error(path, source)),
    }
}

fn file_error(path: &Path, source: io::Error) -> StartError {
    StartError::File { path: path.display().to_string(), source }
}

fn thread_named(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(StartError::Thread)
}

fn current_thread() -> Result<runtime::Runtime, StartError> {
    runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

impl Handle {
    fn start_log(&mut self, file: impl Write + Send + 'static) -> Result<(), StartError> {
        let (stop, stopped) = mpsc::channel();
        let book = Arc::clone(&self.shared.book);
        let write = move || write_changes(&book, file, &stopped);
        self.log = Some(
            thread::Builder::new()
                .name("apns-sim-log".to_owned())
                .spawn(write)
                .map_err(StartError::Thread)?,
        );
        self.stop_log = Some(stop);
        Ok(())
    }

    fn start_workers(
        &mut self,
        threads: usize,
        tls: &Arc<ServerConfig>,
    ) -> Result<(Inbox, Vec<Inbox>), StartError> {
        let mut inboxes = Vec::new();
        for number in 0..threads {
            let (inbox, mut handed_over) = tokio::sync::mpsc::channel(HANDED_OVER_MAX);
            let (tls, shared) = (Arc::clone(tls), Arc::clone(&self.shared));
            let runtime = current_thread()?;
            self.serving.push(thread_named(&format!("apns-sim-{number}"), move || {
                runtime.block_on(async move {
                    let mut tasks = tokio::task::JoinSet::new();
                    while let Some((stream, number, role)) = next(&mut handed_over, &mut tasks).await {
                        if let Ok(stream) = TcpStream::from_std(stream) {
                            tasks.spawn(driver::serve(
                                stream,
                                Arc::clone(&tls),
                                Arc::clone(&shared),
                                number,
                                role,
                            ));
                        }
                    }
                    let goodbyes = async { while tasks.join_next().await.is_some() {} };
                    if tokio::time::timeout(GOODBYE_MAX, goodbyes).await.is_err() {
                        tracing::debug!("connections that do not take their goodbye are cut off");
                    }
                });
            })?);
            inboxes.push(inbox);
        }
        let first = inboxes.remove(0);
        Ok((first, inboxes))
    }

    /// The thread that accepts connections and answers the control endpoint.
    fn start_front(
        &mut self,
        doors: Vec<(TcpListener, Role)>,
        control: Option<TcpListener>,
        inboxes: Vec<Inbox>,
    ) -> Result<(), StartError> {
        let (shared, authority) = (Arc::clone(&self.shared), Arc::clone(&self.authority));
        let runtime = current_thread()?;
        self.serving.push(thread_named("apns-sim-accept", move || {
            runtime.block_on(async move {
                if let Some(control) = control {
                    tokio::spawn(control::serve(control, Arc::clone(&shared), authority));
                }
                tokio::spawn(follow_phases(Arc::clone(&shared)));
                let (number, mut accepting) = (Arc::new(AtomicU32::new(0)), tokio::task::JoinSet::new());
                for (door, role) in doors {
                    let (shared, inboxes) = (Arc::clone(&shared), inboxes.clone());
                    accepting.spawn(accept(door, role, shared, inboxes, Arc::clone(&number)));
                }
                drop(inboxes);
                while let Some(ended) = accepting.join_next().await {
                    if let Ok(Err(error)) = ended {
                        tracing::error!(%error, "the simulator can accept no more connections");
                    }
                }
            });
        })?);
        Ok(())
    }
}

type HandedOver = tokio::sync::mpsc::Receiver<Accepted>;

/// The next connection, sweeping up ended ones meanwhile.
async fn next(handed_over: &mut HandedOver, tasks: &mut tokio::task::JoinSet<()>) -> Option<Accepted> {
    loop {
        tokio::select! {
            connection = handed_over.recv() => return connection,
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// Lets each phase of the faults begin and end.
async fn follow_phases(shared: Arc<Shared>) {
    let mut set = shared.faults_set.subscribe();
    loop {
        let next = shared.follow_phases();
        let wait = async {
            match next {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = set.changed() => if changed.is_err() { return },
            () = wait => {}
        }
    }
}

async fn accept(
    listener: TcpListener,
    role: Role,
    shared: Arc<Shared>,
    inboxes: Vec<Inbox>,
    numbers: Arc<AtomicU32>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut orders = shared.orders.subscribe();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            stopped = orders.wait_for(|Orders { stop, .. }| *stop) => {
                drop(stopped);
                return Ok(());
            }
        };
        match stream.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                let number = numbers.fetch_add(1, Relaxed);
                let inbox = &inboxes[number as usize % inboxes.len()];
                if inbox.send((stream, number, role)).await.is_err() {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How long a stopping simulator waits for its connections to take their last bytes.
const GOODBYE_MAX: std::time::Duration = std::time::Duration::from_secs(1);
/// Pause after a failed accept: out of file descriptors, most likely.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);
