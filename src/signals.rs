//! Signals: the first SIGTERM or SIGINT asks for an orderly end, the second ends at once; SIGHUP asks to read the
//! configuration again.

use std::io;
use std::process;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::Exit;

/// What the process was asked for.
#[derive(Debug, Clone)]
pub struct Signals {
    end: watch::Receiver<bool>,
    reload: watch::Receiver<u64>,
}

impl Signals {
    /// Begins to listen, in a task of the current runtime.
    ///
    /// # Errors
    /// The system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let (asked_end, end) = watch::channel(false);
        let (asked_reload, reload) = watch::channel(0);
        #[expect(clippy::disallowed_methods, reason = "a second signal asks for exactly this")]
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hang_up.recv() => {
                        asked_reload.send_modify(|n| *n += 1);
                        continue;
                    }
                }
                if asked_end.send_replace(true) {
                    tracing::warn!("asked a second time: ending at once; what was not confirmed is unknown");
                    process::exit(i32::from(Exit::Failed.code()));
                }
                tracing::info!("asked to end: no more is taken, what is under way is finished");
            }
        });
        Ok(Self { end, reload })
    }

    /// Waits until an orderly end is asked for.
    pub async fn ended(&self) {
        let mut end = self.end.clone();
        let _ = end.wait_for(|asked| *asked).await;
    }

    /// Waits for the next SIGHUP. Never returns once the process ends.
    pub async fn reload(&mut self) {
        if self.reload.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
