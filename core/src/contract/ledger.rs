//! The promises of [`Ledger`].

use super::{Outcome, same, suite, works};
use crate::fact::Fact;
use crate::id::NotificationKey;
use crate::pool::PoolName;
use crate::seam::{Known, Ledger, LookUp, Recorded};
use crate::token::Fingerprint;

mod devices;
mod facts;
mod finals;
mod reports;

pub use devices::{
    badge_delta_counts_once, gone_is_by_pool_and_slot, gone_rule_on_both_sides, gone_rule_without_a_time,
    registering_anew_restores,
};
pub use facts::Sample;
pub use finals::{
    at_once_only_one_stands, away_records_nothing, batch_with_a_refused_row,
    behind_it_records_and_answers_nothing, final_is_durable_and_found, first_final_wins,
    generations_are_apart, large_batch_is_recorded_whole, look_ups_answer_in_order, nothing_is_nothing,
    same_batch_twice_changes_nothing,
};
pub use reports::{repeats_are_those_marked, tally_is_exact, trace_is_complete_and_ordered};

/// What the suite needs of an implementation's test.
pub trait LedgerHarness {
    /// The implementation.
    type Ledger: Ledger;

    /// Whether [`LedgerHarness::set_away`] can make it unreachable; its promise is passed over where not.
    const CAN_BE_AWAY: bool = true;

    /// A ledger, and a pool that no promise used before.
    fn fresh(&self) -> impl Future<Output = (Self::Ledger, PoolName)>;

    /// The same record, opened by another process after the first one died.
    fn reopen(&self, ledger: Self::Ledger) -> impl Future<Output = Self::Ledger>;

    /// Makes it unreachable, or reachable again.
    fn set_away(&self, ledger: &Self::Ledger, away: bool) -> impl Future<Output = ()>;

    /// Whether [`LedgerHarness::set_behind`] can put it behind; its promise is passed over where not.
    const CAN_BE_BEHIND: bool = false;

    /// Facts that count as recorded wait somewhere else, or not any more.
    fn set_behind(&self, ledger: &Self::Ledger, behind: bool) -> impl Future<Output = ()> {
        let _ = (ledger, behind);
        async {}
    }
}

suite!(LedgerHarness:
    final_is_durable_and_found,
    first_final_wins,
    at_once_only_one_stands,
    same_batch_twice_changes_nothing,
    generations_are_apart,
    batch_with_a_refused_row,
    large_batch_is_recorded_whole,
    look_ups_answer_in_order,
    away_records_nothing,
    behind_it_records_and_answers_nothing,
    nothing_is_nothing,
    badge_delta_counts_once,
    gone_rule_on_both_sides,
    gone_rule_without_a_time,
    registering_anew_restores,
    gone_is_by_pool_and_slot,
    repeats_are_those_marked,
    tally_is_exact,
    trace_is_complete_and_ordered,
);

async fn record<L: Ledger>(ledger: &L, facts: &[Fact]) -> Result<Recorded, String> {
    works("record", ledger.record(facts).await)
}

/// Records facts of which none is late or refused.
async fn record_new<L: Ledger>(ledger: &L, facts: &[Fact]) -> Result<Recorded, String> {
    let recorded = record(ledger, facts).await?;
    same("late facts", recorded.late.as_slice(), &[])?;
    same("refused facts", recorded.refused.as_slice(), &[])?;
    Ok(recorded)
}

async fn look_up<L: Ledger>(ledger: &L, key: NotificationKey, token: Fingerprint) -> Result<Known, String> {
    let known = works("look-up", ledger.look_up(&[LookUp { key, token }]).await)?;
    same("answers to one look-up", known.len(), 1)?;
    Ok(known[0])
}

async fn is_unknown<L: Ledger>(ledger: &L, key: NotificationKey, token: Fingerprint) -> Outcome {
    same("verdict", look_up(ledger, key, token).await?.verdict, None)
}
