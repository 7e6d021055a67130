//! What `skein cluster init` would do, as findings.

use skein_provision::{Kind, Step};

use crate::report::Finding;

/// Ends in the words of init, which runs again when somebody has mended what it may not.
const AGAIN: &str = "run this again";

/// One difference; `init` is the command that makes what is missing.
pub(crate) fn finding(step: &Step, init: &str) -> Finding {
    let Step { what, detail, .. } = step;
    match step.kind {
        Kind::Make if detail.is_empty() => Finding::error(format!("{what}: missing"), init),
        Kind::Make => Finding::error(format!("{what}: missing ({detail})"), init),
        Kind::Change if detail.is_empty() => Finding::error(format!("{what}: not as it must be"), init),
        Kind::Change => Finding::error(format!("{what}: not as it must be ({detail})"), init),
        Kind::Take => Finding::error(format!("{what}: too much"), init),
        Kind::Trouble => {
            let (why, remedy) = detail.split_once("; ").unwrap_or((detail, AGAIN));
            let remedy = remedy.strip_prefix("or ").unwrap_or(remedy).replace(AGAIN, &format!("run: {init}"));
            Finding::error(format!("{what}: {why}"), remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use skein_provision::Service;

    use super::*;

    #[test]
    fn what_an_operator_must_mend_is_told_apart_from_how() {
        let step = |kind, detail: &str| Step {
            service: Service::RabbitMq,
            kind,
            what: "queue a".to_owned(),
            detail: detail.to_owned(),
        };
        let of =
            |kind, detail| Some(finding(&step(kind, detail), "init")).map(|f| (f.what, f.remedy)).unwrap();
        let trouble = of(Kind::Trouble, "is wrong; or empty it and run this again");
        assert_eq!(trouble, ("queue a: is wrong".to_owned(), "empty it and run: init".to_owned()));
        assert_eq!(of(Kind::Make, "1 of 2"), ("queue a: missing (1 of 2)".to_owned(), "init".to_owned()));
        assert_eq!(of(Kind::Take, "").0, "queue a: too much");
    }
}
