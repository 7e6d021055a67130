//! This host's limits, where a process of the configuration runs on it.

use crate::deployment::{Deployment, OpenFiles};
use crate::report::{Check, Finding};

/// Files that a process has open besides its connections: logs, libraries, pages, timers.
const OTHER_FILES: u64 = 128;

pub(crate) fn examine(deployment: &Deployment) -> Option<Check> {
    let OpenFiles { apns, queues, ledger } = deployment.open_files?;
    let wanted = apns + queues + ledger + OTHER_FILES;
    Some(Check::new("host.open_files", finding(wanted, limit()).into_iter().collect()))
}

#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}

fn finding(wanted: u64, limit: Option<u64>) -> Option<Finding> {
    let limit = limit.filter(|limit| *limit < wanted)?;
    let what = format!("a process may have {limit} files open, and this configuration can need {wanted}");
    Some(Finding::warning(what, format!("ulimit -n {wanted}; in a unit of systemd LimitNOFILE={wanted}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_named() {
        assert!(finding(500, Some(1024)).is_none() && finding(500, None).is_none());
        assert!(finding(2000, Some(1024)).expect("a finding").remedy.contains("LimitNOFILE=2000"));
    }
}
