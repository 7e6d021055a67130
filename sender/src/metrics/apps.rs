//! Final verdicts by app. Producers write what they like into `app`, so only the apps that the configuration names have a label of
//! their own: the page grows with the configuration, never with what is sent, and nothing of a message comes to stand in it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use skein_core::FinalVerdict;

use super::Metrics;

/// The label of every app that is not named.
pub(crate) const OTHER: &str = "other";

impl Metrics {
    /// Names the apps that are counted by name, once, before anything is sent.
    pub fn name_apps(&self, apps: &[String]) {
        self.apps.name(apps);
    }
}

type Verdicts = [IntCounter; FinalVerdict::ALL.len()];

/// The family.
pub(super) struct Apps {
    notifications: IntCounterVec,
    named: OnceLock<Arc<Named>>,
}

/// The counters of each app, looked up once.
pub(super) struct Named {
    apps: HashMap<Box<str>, Verdicts>,
    other: Verdicts,
}

impl Apps {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let notifications = IntCounterVec::new(
            Opts::new(
                "skein_app_notifications_total",
                "Notifications by app and final verdict: the apps of sender.apps, the others together as other.",
            ),
            &["app", "verdict"],
        )?;
        registry.register(Box::new(notifications.clone()))?;
        Ok(Self { notifications, named: OnceLock::new() })
    }

    /// Names the apps, once, before any is counted.
    pub(super) fn name(&self, apps: &[String]) {
        self.named.get_or_init(|| Arc::new(self.counters(apps)));
    }

    /// The counters; every app is `other` if none was named.
    pub(super) fn named(&self) -> Arc<Named> {
        Arc::clone(self.named.get_or_init(|| Arc::new(self.counters(&[]))))
    }

    fn counters(&self, apps: &[String]) -> Named {
        let each = |app: &str| {
            FinalVerdict::ALL.map(|verdict| self.notifications.with_label_values(&[app, verdict.label()]))
        };
        let apps = apps.iter().map(|app| (app.as_str().into(), each(app))).collect();
        Named { apps, other: each(OTHER) }
    }
}

impl Named {
    pub(super) fn verdict(&self, app: Option<&str>, verdict: FinalVerdict) {
        let counters = app.and_then(|app| self.apps.get(app)).unwrap_or(&self.other);
        if let Some(index) = FinalVerdict::ALL.iter().position(|v| *v == verdict) {
            counters[index].inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_counted_together_however_much_of_it_there_is() {
        let registry = Registry::new();
        let apps = Apps::new(&registry).unwrap();
        apps.name(&["mail".into(), "im".into()]);
        let named = apps.named();
        for number in 0..10_000 {
            named.verdict(Some(&format!("app-{number}")), FinalVerdict::Failed);
        }
        named.verdict(None, FinalVerdict::Failed);
        named.verdict(Some("im"), FinalVerdict::Accepted);
        let families = registry.gather();
        let series = families[0].get_metric();
        assert_eq!(series.len(), 3 * FinalVerdict::ALL.len(), "two apps and the others");
        let of = |app: &str, verdict: FinalVerdict| {
            apps.notifications.with_label_values(&[app, verdict.label()]).get()
        };
        assert_eq!(of(OTHER, FinalVerdict::Failed), 10_001);
        assert_eq!(of("im", FinalVerdict::Accepted), 1);
        assert_eq!(of("mail", FinalVerdict::Accepted), 0);
    }
}
