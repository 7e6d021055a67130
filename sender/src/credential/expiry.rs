//! When to warn that a credential runs out: at 30, 14, 7 and 1 days, and at its end; each once.

use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How near the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// 30 days or less.
    Month,
    /// 14 days or less.
    Fortnight,
    /// 7 days or less.
    Week,
    /// A day or less.
    Day,
    /// It has run out.
    Expired,
}

impl Stage {
    /// Every stage with the days before the end at which it begins.
    pub const ALL: [(Self, u32); 5] =
        [(Self::Month, 30), (Self::Fortnight, 14), (Self::Week, 7), (Self::Day, 1), (Self::Expired, 0)];

    /// The word in metric and log: the days, or `expired`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Month => "30",
            Self::Fortnight => "14",
            Self::Week => "7",
            Self::Day => "1",
            Self::Expired => "expired",
        }
    }

    /// The stage at `now`, if there is one yet.
    pub fn at(not_after: SystemTime, now: SystemTime) -> Option<Self> {
        let left = not_after.duration_since(now).unwrap_or_default();
        let reached = |days: u32| if days == 0 { now > not_after } else { left <= DAY * days };
        Self::ALL.into_iter().rev().find(|(_, days)| reached(*days)).map(|(stage, _)| stage)
    }
}

/// Whole days until the end; 0 once it has come.
pub fn days_left(not_after: SystemTime, now: SystemTime) -> u64 {
    not_after.duration_since(now).map_or(0, |left| left.as_secs() / DAY.as_secs())
}

/// Which stages of one credential were warned of.
#[derive(Debug, Default, Clone, Copy)]
pub struct Warned(Option<Stage>);

impl Warned {
    /// The stage to warn of now; each comes once, and one that was passed unseen never.
    pub fn due(&mut self, not_after: SystemTime, now: SystemTime) -> Option<Stage> {
        let stage = Stage::at(not_after, now)?;
        if self.0.is_some_and(|warned| warned >= stage) {
            return None;
        }
        self.0 = Some(stage);
        Some(stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn at(days: f64) -> SystemTime {
        UNIX_EPOCH + DAY.mul_f64(100.0) - DAY.mul_f64(days.max(0.0)) + DAY.mul_f64((-days).max(0.0))
    }

    #[test]
    fn each_stage_is_told_once_on_a_year_s_way() {
        let end = at(0.0);
        let mut warned = Warned::default();
        let mut told = Vec::new();
        for hour in (-48..24 * 60).rev() {
            let days = f64::from(hour) / 24.0;
            if let Some(stage) = warned.due(end, at(days)) {
                told.push((stage.label(), days));
            }
        }
        let hour = 1.0 / 24.0;
        assert_eq!(told.len(), 5, "{told:?}");
        for ((label, days), expected) in
            told.iter().zip([("30", 30.0), ("14", 14.0), ("7", 7.0), ("1", 1.0), ("expired", -hour)])
        {
            assert_eq!(*label, expected.0);
            assert!((days - expected.1).abs() < 1e-6, "{told:?}");
        }
    }

    #[test]
    fn a_late_start_tells_the_nearest_stage_alone() {
        let mut warned = Warned::default();
        assert_eq!(warned.due(at(0.0), at(5.0)), Some(Stage::Week));
        assert_eq!(warned.due(at(0.0), at(4.9)), None);
        assert_eq!(warned.due(at(0.0), at(-1.0)), Some(Stage::Expired));
        assert_eq!(warned.due(at(0.0), at(20.0)), None, "a clock that went back warns of nothing again");
    }

    #[test]
    fn far_from_its_end_nothing_is_told() {
        assert_eq!(Stage::at(at(0.0), at(30.1)), None);
        assert_eq!((days_left(at(0.0), at(30.1)), days_left(at(0.0), at(-1.0))), (30, 0));
    }
}
