//! Provisioning: what a cluster needs on RabbitMQ, PostgreSQL and ZooKeeper, and no right more.
//!
//! | file | what it decides or holds |
//! | --- | --- |
//! | `role` | who there is, and what each may do on the broker |
//! | `ledger/grants` | what each may do in the database |
//! | `credentials` | the passwords, in files of mode 0600 |
//! | `broker`, `ledger`, `coordinator` | what is, compared with what must be, as steps; and doing them |
//! | `probe` | each role tries what it must not do |
//!
//! Looking changes nothing, doing the steps is idempotent: after it, looking finds none.

mod broker;
mod coordinator;
mod credentials;
mod ledger;
mod probe;
mod role;
mod step;

pub use broker::{BrokerAdmin, BrokerServer, ManagementAddress};
pub use coordinator::CoordinatorAdmin;
pub use credentials::{Credentials, CredentialsError};
pub use ledger::LedgerAdmin;
pub use probe::{
    Finding, Proved, probe_broker, probe_broker_as, probe_coordinator, probe_coordinator_as, probe_ledger,
    probe_ledger_as,
};
pub use role::{Cluster, Pool, Role};
pub use step::{Kind, Service, Step};

/// Why a service could not be looked at or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionError {
    /// Not reachable, or lost on the way: what was begun is done again by the next run.
    #[error("{service} is away: {why}")]
    Away {
        /// Which.
        service: Service,
        /// The driver's word.
        why: String,
    },
    /// Reached, and it refuses.
    #[error("{service} refuses: {why}")]
    Refused {
        /// Which.
        service: Service,
        /// Its word, with what to do.
        why: String,
    },
}

impl ProvisionError {
    fn away(service: Service, why: impl ToString) -> Self {
        Self::Away { service, why: why.to_string() }
    }

    fn refused(service: Service, why: impl ToString) -> Self {
        Self::Refused { service, why: why.to_string() }
    }
}
