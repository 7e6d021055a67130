//! The broker as the monitor sees it: a small seam, so that the loop can be tried without one.

use std::collections::BTreeMap;

use skein_core::QueueName;
use skein_core::lease::BootMillis;
use skein_core::plan::BrokerSeen;

use crate::connections::Connections;
use crate::queue_figures::Figures;

/// What is known of the broker now.
#[derive(Debug, Clone, Default)]
pub struct BrokerView {
    /// Whether it is there.
    pub seen: BrokerSeen,
    /// Whose connections are open.
    pub connections: Connections,
    /// Each queue's figures.
    pub queues: BTreeMap<QueueName, Figures>,
    /// When the figures were read last.
    pub figures_at: Option<BootMillis>,
    /// Why events are not heard, if they are not.
    pub events_trouble: Option<String>,
    /// Why the management API does not answer, if it does not.
    pub management_trouble: Option<String>,
}

/// Watches the broker, and closes connections.
pub trait BrokerWatch: Send + Sync + 'static {
    /// What is known now.
    fn view(&self) -> BrokerView;

    /// Waits until a sender's connection was opened or closed, or the broker came or went, since the last
    /// [`BrokerWatch::view`]. Cancellation safe.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Closes a connection by the broker's name of it. Cancelled, it may or may not be closed.
    ///
    /// # Errors
    /// Why it is not known to be closed.
    fn close(&self, connection: &str) -> impl Future<Output = Result<(), String>> + Send;
}
