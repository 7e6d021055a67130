//! Between a credential's keeper and its pool's shards: which credential to write with, and how its trial ends.

use std::sync::{Arc, Mutex, PoisonError};

use skein_apns::Credential;
use tokio::sync::{Notify, watch};

/// A credential to write with.
#[derive(Clone)]
pub struct Version {
    /// Grows with each.
    pub number: u64,
    /// `None`: there is none that can be used, and the pool waits.
    pub credential: Option<Credential>,
    /// Whether APNs has yet to take a push of it. Refused, it is given back.
    pub on_trial: bool,
}

/// How a trial ended, as one shard saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// APNs answered a push of it.
    Taken,
    /// APNs refuses it, for this reason.
    Refused(String),
}

/// The credential of one pool in one process.
pub struct Slot {
    version: watch::Sender<Version>,
    /// The version that was last reported on, and how it ended: a refusal outweighs.
    report: Mutex<Option<(u64, Ended)>>,
    reported: Notify,
}

impl Slot {
    /// With the credential to begin with, if there is one that can be used.
    pub fn new(credential: Option<Credential>) -> Arc<Self> {
        let (version, _) = watch::channel(Version { number: 1, credential, on_trial: false });
        Arc::new(Self { version, report: Mutex::new(None), reported: Notify::new() })
    }

    /// The version now, and each that follows.
    pub fn versions(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    /// Puts a credential in place, and gives its number.
    pub fn publish(&self, credential: Option<Credential>, on_trial: bool) -> u64 {
        let mut given = 0;
        self.version.send_modify(|version| {
            given = version.number + 1;
            *version = Version { number: given, credential, on_trial };
        });
        given
    }

    /// A shard says how the trial of a version ended. Of several only the first counts, but that a refusal outweighs.
    pub fn report(&self, number: u64, ended: Ended) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let outweighs = match &*report {
            Some((known, _)) if *known > number => false,
            Some((known, Ended::Refused(_))) if *known == number => false,
            Some((known, Ended::Taken)) if *known == number => matches!(ended, Ended::Refused(_)),
            _ => true,
        };
        if outweighs {
            *report = Some((number, ended));
            self.reported.notify_one();
        }
    }

    /// Waits for the next report.
    ///
    /// Cancellation safe: a report that is not returned is returned next time.
    pub async fn reported(&self) -> (u64, Ended) {
        loop {
            self.reported.notified().await;
            let report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(report) = report {
                return report;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_outweighs_and_what_is_old_counts_nothing() {
        let slot = Slot::new(None);
        let refused = || Ended::Refused("InvalidProviderToken".into());
        slot.report(3, Ended::Taken);
        assert_eq!(slot.reported().await, (3, Ended::Taken));
        slot.report(3, refused());
        assert_eq!(slot.reported().await, (3, refused()));
        slot.report(3, Ended::Taken);
        slot.report(2, Ended::Taken);
        slot.report(4, Ended::Taken);
        assert_eq!(slot.reported().await, (4, Ended::Taken), "only the last was news");
    }
}
