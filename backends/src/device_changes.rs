//! What a batch of finals does to devices, folded to one change a device, so that the stores apply it in two statements.

use std::collections::BTreeMap;

use skein_core::fact::Final;
use skein_core::notification::Badge;
use skein_core::{Fingerprint, Slot, Timestamp};

/// The changes of badges: one a token, ordered by token.
pub(crate) struct BadgeChange<'a> {
    pub(crate) of: &'a Final,
    pub(crate) badge: Badge,
}

/// Folds the badges of finals, given in the order they take effect.
pub(crate) fn badges<'a>(finals: impl Iterator<Item = &'a Final>) -> Vec<BadgeChange<'a>> {
    let mut changes: BTreeMap<Fingerprint, BadgeChange<'a>> = BTreeMap::new();
    for of in finals {
        let Some(badge) = of.badge else { continue };
        changes
            .entry(of.token)
            .and_modify(|change| change.badge = after(change.badge, badge))
            .or_insert(BadgeChange { of, badge });
    }
    changes.into_values().collect()
}

/// The one change that equals two in turn. Sums saturate; that is exact, since a badge saturates at the same number.
fn after(first: Badge, second: Badge) -> Badge {
    match (first, second) {
        (_, Badge::Set(n)) => Badge::Set(n),
        (Badge::Set(n), add @ Badge::Add(_)) => Badge::Set(add.applied_to(n)),
        (Badge::Add(j), Badge::Add(k)) => Badge::Add(j.saturating_add(k)),
    }
}

/// A token that APNs declared gone.
pub(crate) struct GoneChange<'a> {
    pub(crate) token: Fingerprint,
    pub(crate) since: Timestamp,
    pub(crate) slot: Slot,
    pub(crate) of: &'a Final,
}

/// The tokens that finals declare gone: one change a token with the latest time, ordered by token.
pub(crate) fn gone<'a>(finals: impl Iterator<Item = &'a Final>) -> Vec<GoneChange<'a>> {
    let mut changes: BTreeMap<Fingerprint, GoneChange<'a>> = BTreeMap::new();
    for of in finals {
        let Some(since) = of.gone_since() else { continue };
        let change = GoneChange { token: of.token, since, slot: of.slot, of };
        match changes.get_mut(&of.token) {
            Some(known) if known.since >= since => {}
            Some(known) => *known = change,
            None => drop(changes.insert(of.token, change)),
        }
    }
    changes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_changes_in_turn_equal_their_fold() {
        let all = [0, 1, 5, u32::MAX - 1, u32::MAX].map(|n| [Badge::Set(n), Badge::Add(n)]).concat();
        for start in [0, 7, u32::MAX] {
            for (first, second) in all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b))) {
                assert_eq!(
                    after(first, second).applied_to(start),
                    second.applied_to(first.applied_to(start)),
                    "{start} {first:?} {second:?}"
                );
            }
        }
    }
}
