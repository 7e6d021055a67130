//! Ledgers with one flaw each.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use crate::contract::ledger::{LedgerHarness, PROMISES, all, each};
use crate::fact::{Fact, Final, Registration};
use crate::id::{NotificationId, NotificationKey};
use crate::memory::MemoryLedger;
use crate::pool::PoolName;
use crate::seam::{Known, Ledger, LedgerError, LookUp, Recorded, Tally, Trace};
use crate::slot::Slot;
use crate::time::Timestamp;
use crate::verdict::FinalVerdict;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    ForgetsAtItsEnd,
    LastFinalWins,
    KeepsNoLateFinal,
    HidesWhoWasLate,
    CountsTheSameTwice,
    MixesGenerations,
    LosesTheBatchOfARefusedRow,
    LosesWhatIsBeyondAThousand,
    AnswersEachKeyOnce,
    RecordsHalfWhileAway,
    KnowsVerdictsWhileBehind,
    KnowsTheGoneWhileBehind,
    KnowsRepeatsWhileBehind,
    KnowsNobodysBadge,
    CountsLateBadges,
    InvalidatesAlways,
    TakesTheJudgementForTheWrite,
    NeverRestores,
    GoneInEverySlot,
    RepeatsOfAllTimes,
    CountsNoNotedCopies,
    TracesBackwards,
    TracesNoSubmission,
}

#[derive(Clone)]
struct Flawed {
    flaw: Flaw,
    inner: MemoryLedger,
    last: Arc<Mutex<HashMap<NotificationKey, Final>>>,
    is_away: Arc<Mutex<bool>>,
}

impl Flawed {
    fn is_away(&self) -> bool {
        *self.is_away.lock().unwrap()
    }

    /// The facts as the flaw sees them.
    fn bent(&self, facts: &[Fact]) -> Vec<Fact> {
        facts
            .iter()
            .map(|fact| match (self.flaw, fact) {
                (Flaw::MixesGenerations, Fact::Final(f)) => {
                    let key = NotificationKey { generation: 0, ..f.key };
                    Fact::Final(Box::new(Final { key, ..(**f).clone() }))
                }
                (Flaw::TakesTheJudgementForTheWrite, Fact::Final(f)) => {
                    let gone_at = f.gone_at.or(Some(f.at));
                    Fact::Final(Box::new(Final { gone_at, ..(**f).clone() }))
                }
                (Flaw::InvalidatesAlways, Fact::Final(f)) => {
                    let gone_at = Some(Timestamp::from_millis(i64::MAX));
                    Fact::Final(Box::new(Final { gone_at, ..(**f).clone() }))
                }
                _ => fact.clone(),
            })
            .collect()
    }

    /// A batch of which one fact may not be stored, as a single statement would take it.
    fn holds_nul(facts: &[Fact]) -> bool {
        facts.iter().any(|fact| match fact {
            Fact::Final(f) => f.reference.as_deref().is_some_and(|text| text.contains('\0')),
            _ => false,
        })
    }

    async fn count_late_badges(&self, facts: &[Fact], late: &[usize]) -> Result<(), LedgerError> {
        for index in late {
            if let Fact::Final(f) = &facts[*index]
                && f.badge.is_some()
            {
                let key = NotificationKey { id: NotificationId::now(), generation: 9 };
                self.inner.record(&[Fact::Final(Box::new(Final { key, ..(**f).clone() }))]).await?;
            }
        }
        Ok(())
    }
}

impl Ledger for Flawed {
    async fn record(&self, facts: &[Fact]) -> Result<Recorded, LedgerError> {
        if self.is_away() {
            if self.flaw == Flaw::RecordsHalfWhileAway {
                self.inner.record(&facts[..facts.len() / 2]).await?;
            }
            return Err(LedgerError::Away("switched off".into()));
        }
        for fact in facts {
            if let Fact::Final(f) = fact {
                self.last.lock().unwrap().insert(f.key, (**f).clone());
            }
        }
        let bent = self.bent(facts);
        let stored = match self.flaw {
            Flaw::LosesTheBatchOfARefusedRow if Self::holds_nul(&bent) => &[],
            Flaw::LosesWhatIsBeyondAThousand => &bent[..bent.len().min(1000)],
            _ => &bent[..],
        };
        let mut recorded = self.inner.record(stored).await?;
        match self.flaw {
            Flaw::HidesWhoWasLate => recorded.late.clear(),
            Flaw::CountsLateBadges => self.count_late_badges(facts, &recorded.late).await?,
            Flaw::CountsTheSameTwice if !recorded.late.is_empty() => {
                let again = recorded.late.iter().filter_map(|index| match &facts[*index] {
                    Fact::Note(note) => {
                        let mut note = note.clone();
                        note.attempt += 1;
                        Some(Fact::Note(note))
                    }
                    _ => None,
                });
                self.inner.record(&again.collect::<Vec<_>>()).await?;
            }
            _ => {}
        }
        Ok(recorded)
    }

    async fn look_up(&self, asked: &[LookUp]) -> Result<Vec<Known>, LedgerError> {
        if self.is_away() {
            return Err(LedgerError::Away("switched off".into()));
        }
        let mut asked = asked.to_vec();
        match self.flaw {
            Flaw::MixesGenerations => asked.iter_mut().for_each(|one| one.key.generation = 0),
            Flaw::AnswersEachKeyOnce => asked.dedup_by_key(|one| one.key),
            _ => {}
        }
        let known = self.inner.look_up(&asked).await;
        let mut known = match self.flaw {
            Flaw::KnowsVerdictsWhileBehind => known.unwrap_or_default(),
            _ => known?,
        };
        for (one, known) in asked.iter().zip(&mut known) {
            match self.flaw {
                Flaw::LastFinalWins => {
                    known.verdict = self.last.lock().unwrap().get(&one.key).map(|f| f.verdict);
                }
                Flaw::KnowsNobodysBadge => known.device.badge = 0,
                _ => {}
            }
        }
        Ok(known)
    }

    async fn gone(&self, pool: &PoolName, slots: &[Slot]) -> Result<Vec<u64>, LedgerError> {
        let all: Vec<Slot> = Slot::all().collect();
        let gone = self.inner.gone(pool, if self.flaw == Flaw::GoneInEverySlot { &all } else { slots }).await;
        if self.flaw == Flaw::KnowsTheGoneWhileBehind { Ok(gone.unwrap_or_default()) } else { gone }
    }

    async fn repeats(&self, pool: &PoolName, since: Timestamp) -> Result<Vec<NotificationKey>, LedgerError> {
        let always = Timestamp::from_millis(0);
        let since = if self.flaw == Flaw::RepeatsOfAllTimes { always } else { since };
        let repeats = self.inner.repeats(pool, since).await;
        if self.flaw == Flaw::KnowsRepeatsWhileBehind { Ok(repeats.unwrap_or_default()) } else { repeats }
    }

    async fn register(&self, registrations: &[Registration]) -> Result<(), LedgerError> {
        if self.flaw == Flaw::NeverRestores { Ok(()) } else { self.inner.register(registrations).await }
    }

    async fn trace(&self, id: NotificationId) -> Result<Trace, LedgerError> {
        let mut trace = self.inner.trace(id).await?;
        match self.flaw {
            Flaw::TracesBackwards => trace.events.reverse(),
            Flaw::TracesNoSubmission => trace.events.retain(|e| e.what != "submitted"),
            Flaw::KeepsNoLateFinal => trace.events.retain(|e| e.what != "late_final"),
            _ => {}
        }
        Ok(trace)
    }

    async fn tally(&self, pool: &PoolName, since: Timestamp) -> Result<Tally, LedgerError> {
        let mut tally = self.inner.tally(pool, since).await?;
        match self.flaw {
            Flaw::CountsNoNotedCopies => tally.possible_copies = tally.possible_copies.min(1),
            Flaw::AnswersEachKeyOnce => tally.add(FinalVerdict::Accepted, 1),
            _ => {}
        }
        Ok(tally)
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        if self.is_away() { Err(LedgerError::Away("switched off".into())) } else { self.inner.ping().await }
    }
}

struct Harness {
    flawed: Flawed,
    pools: AtomicU16,
}

impl Harness {
    fn new(flaw: Flaw) -> Self {
        let flawed =
            Flawed { flaw, inner: MemoryLedger::new(), last: Arc::default(), is_away: Arc::default() };
        Self { flawed, pools: AtomicU16::new(0) }
    }
}

impl LedgerHarness for Harness {
    type Ledger = Flawed;

    async fn fresh(&self) -> (Flawed, PoolName) {
        let number = self.pools.fetch_add(1, Ordering::Relaxed);
        (self.flawed.clone(), PoolName::parse(&format!("p{number}")).unwrap())
    }

    async fn reopen(&self, ledger: Flawed) -> Flawed {
        let inner = match ledger.flaw {
            Flaw::ForgetsAtItsEnd => MemoryLedger::new(),
            _ => ledger.inner,
        };
        Flawed { inner, ..ledger }
    }

    async fn set_away(&self, ledger: &Flawed, away: bool) {
        *ledger.is_away.lock().unwrap() = away;
    }

    const CAN_BE_BEHIND: bool = true;

    async fn set_behind(&self, ledger: &Flawed, behind: bool) {
        ledger.inner.set_behind(behind);
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory() {
    all(&Harness::new(Flaw::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn doubles_are_refused() {
    let mut runs = Vec::new();
    for (flaw, broken) in [
        (Flaw::ForgetsAtItsEnd, "final_is_durable_and_found"),
        (Flaw::LastFinalWins, "first_final_wins"),
        (Flaw::KeepsNoLateFinal, "first_final_wins"),
        (Flaw::HidesWhoWasLate, "at_once_only_one_stands"),
        (Flaw::CountsTheSameTwice, "same_batch_twice_changes_nothing"),
        (Flaw::MixesGenerations, "generations_are_apart"),
        (Flaw::LosesTheBatchOfARefusedRow, "batch_with_a_refused_row"),
        (Flaw::LosesWhatIsBeyondAThousand, "large_batch_is_recorded_whole"),
        (Flaw::AnswersEachKeyOnce, "look_ups_answer_in_order"),
        (Flaw::RecordsHalfWhileAway, "away_records_nothing"),
        (Flaw::KnowsVerdictsWhileBehind, "behind_it_records_and_answers_nothing"),
        (Flaw::KnowsTheGoneWhileBehind, "behind_it_records_and_answers_nothing"),
        (Flaw::KnowsRepeatsWhileBehind, "behind_it_records_and_answers_nothing"),
        (Flaw::AnswersEachKeyOnce, "nothing_is_nothing"),
        (Flaw::KnowsNobodysBadge, "badge_delta_counts_once"),
        (Flaw::CountsLateBadges, "badge_delta_counts_once"),
        (Flaw::InvalidatesAlways, "gone_rule_on_both_sides"),
        (Flaw::TakesTheJudgementForTheWrite, "gone_rule_without_a_time"),
        (Flaw::NeverRestores, "registering_anew_restores"),
        (Flaw::GoneInEverySlot, "gone_is_by_pool_and_slot"),
        (Flaw::RepeatsOfAllTimes, "repeats_are_those_marked"),
        (Flaw::CountsNoNotedCopies, "tally_is_exact"),
        (Flaw::TracesBackwards, "trace_is_complete_and_ordered"),
        (Flaw::TracesNoSubmission, "trace_is_complete_and_ordered"),
    ] {
        runs.push((flaw, broken, each(&Harness::new(flaw)).await));
    }
    super::assert_each_refuses(PROMISES, runs);
}
