//! What the probe found, as findings: one for each user and kind, naming the first few deeds.

use std::collections::BTreeMap;

use skein_provision::{Finding as Tried, Proved};

use crate::report::Finding;

/// How many deeds of a user are named; the rest is counted.
const NAMED_MAX: usize = 5;

pub(crate) fn findings(tried: &[Tried], init: &str) -> Vec<Finding> {
    let mut wrong: BTreeMap<(&str, bool), Vec<&str>> = BTreeMap::new();
    for one in tried {
        let too_wide = match one.outcome {
            Proved::Forbidden => true,
            Proved::Lacking => false,
            Proved::Refused | Proved::Allowed | Proved::Unclear => continue,
        };
        wrong.entry((&one.who, too_wide)).or_default().push(&one.what);
    }
    let finding = |((who, too_wide), deeds): ((&str, bool), Vec<&str>)| {
        let named = deeds.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join("; ");
        let more = deeds.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        let verb = if too_wide { "may, and must not" } else { "may not, and must" };
        Finding::error(format!("{who} {verb}: {named}{more}"), init)
    };
    wrong.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use skein_provision::Service;

    use super::*;

    #[test]
    fn a_user_is_one_finding_however_much_it_may() {
        let tried = |what: &str, outcome| Tried {
            service: Service::RabbitMq,
            who: "s".to_owned(),
            what: what.to_owned(),
            outcome,
            why: None,
        };
        let mut all: Vec<Tried> = (0..7).map(|n| tried(&format!("deed {n}"), Proved::Forbidden)).collect();
        all.push(tried("read", Proved::Lacking));
        all.push(tried("write", Proved::Refused));
        let found = findings(&all, "init");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].what, "s may not, and must: read");
        assert!(found[1].what.ends_with("deed 4, and 2 more"), "{:?}", found[1]);
    }
}
