//! What an earlier life of a member owned, claimed together with the member's place: one of ZooKeeper's disk writes before the first
//! notification of a restart, not two in a row.
//!
//! The claims are those that each queue's session would make ([`Change::Reclaim`], checked by the record's version). What is not
//! claimed here, for whatever reason, is claimed by its session.

use skein_core::fleet::{Change, QueueAssignment};
use skein_core::seam::CoordinatorError;
use zookeeper_client::{MultiWriteResult, MultiWriter};

use super::connection::Session;
use super::nodes::{Transaction as _, from_json, to_json};
use super::seat::Seat;
use super::tree;

/// The most claims in one transaction; it stays far below the megabyte that a server takes for the longest message.
const CLAIMS_MOST: usize = 256;

/// A record as it is to be, and the version of what it was.
pub(super) struct Claim {
    next: QueueAssignment,
    version: i32,
}

/// What can be claimed now, for lives that are dead for sure.
pub(super) async fn claims(session: &Session, seat: &Seat) -> Result<Vec<Claim>, CoordinatorError> {
    if seat.dead.is_empty() {
        return Ok(Vec::new());
    }
    let paths: Vec<String> = seat.served().iter().map(tree::queue).collect();
    let mut claims = Vec::new();
    for (path, node) in paths.iter().zip(session.read_all(&paths).await?) {
        let Some((data, stat)) = node else { continue };
        // A record that can't be read is told of where all are read.
        let Ok(stored) = from_json::<QueueAssignment>(path, &data) else { continue };
        let inherited = stored
            .owner
            .as_ref()
            .is_some_and(|owner| owner.member == seat.me.member && seat.dead.contains(&owner.incarnation));
        let change = Change::Reclaim { by: seat.me.clone(), predecessor_dead: true };
        // Who attaches to nothing claims nothing.
        if inherited
            && !stored.paused
            && let Ok(next) = stored.apply(&change)
        {
            claims.push(Claim { next, version: stat.version });
        }
    }
    claims.truncate(CLAIMS_MOST);
    Ok(claims)
}

/// Adds them to a transaction.
pub(super) fn add(writer: &mut MultiWriter<'_>, claims: &[Claim]) -> Result<(), CoordinatorError> {
    claims.iter().try_for_each(|claim| {
        writer.set(&tree::queue(&claim.next.queue), &to_json(&claim.next)?, Some(claim.version))
    })
}

/// They are granted: `results` are those of the transaction that ended with them.
pub(super) fn granted(seat: &Seat, claims: Vec<Claim>, results: &[MultiWriteResult]) {
    let own = results.len().saturating_sub(claims.len());
    let granted = claims.into_iter().zip(&results[own..]).filter_map(|(claim, result)| match result {
        MultiWriteResult::SetData { stat } => Some((claim.next, stat.mzxid)),
        _ => None,
    });
    seat.learn(granted);
}
