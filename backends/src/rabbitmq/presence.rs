//! A sender's own connection to the broker, beside those of its queues: as long as it stands the broker knows the sender alive,
//! whether it owns a queue or not. Its end is what the monitor hears first.

use std::time::Duration;

use skein_core::fleet::PRESENCE;
use skein_producer::LinkOptions;
use skein_producer::link::Link;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the first one may take before that is told as trouble: until then nothing is known against it. Shorter, and of a fleet
/// that starts on a busy machine the first to have declared would get every queue.
const FIRST: Duration = Duration::from_secs(5);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Keeps the connection, in a task of the current runtime. Dropped, the connection is reset.
#[derive(Debug)]
pub struct Presence {
    trouble: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Presence {
    /// Begins to connect once that is true; `link.name` is the life's. `backoff`: the first and longest pause before connecting
    /// again. Must be called within a runtime.
    pub fn keep(link: &LinkOptions, backoff: (Duration, Duration), mut once: watch::Receiver<bool>) -> Self {
        let mut link = link.clone();
        link.name = format!("{}/{PRESENCE}", link.name);
        let (tell, trouble) = watch::channel(None);
        let task = tokio::spawn(async move {
            let mut pause = backoff.0;
            for turn in 0usize.. {
                let connected = {
                    let mut connecting = std::pin::pin!(async {
                        // Whoever was to say so is gone only if the process is ending.
                        let _ = once.wait_for(|once| *once).await;
                        Link::connect(&link, turn).await
                    });
                    match tokio::time::timeout(FIRST, &mut connecting).await {
                        Ok(connected) => connected,
                        Err(_) => {
                            if turn == 0 {
                                tell.send_replace(Some("not connected yet".to_owned()));
                            }
                            connecting.await
                        }
                    }
                };
                let why = match connected {
                    Ok(link) => {
                        pause = backoff.0;
                        tell.send_replace(None);
                        while link.connection().status().connected() {
                            tokio::time::sleep(LOOK).await;
                        }
                        "the connection is lost".to_owned()
                    }
                    Err(error) => error.to_string(),
                };
                tell.send_replace(Some(why));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(backoff.1);
            }
        });
        Self { trouble, task }
    }

    /// Why it is not there, if it is not; now and whenever that changes.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.task.abort();
    }
}
