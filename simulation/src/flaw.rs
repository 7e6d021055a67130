//! The doubles: each breaks one rule at a seam, so that the simulation can show that it would notice.

/// What is wrong with a double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: the true build.
    None,
    /// A broker that puts what returns at the back of its queue.
    RequeuesToTheBack,
    /// A coordinator that tells a second sender that another's queue is its own.
    AssignsTwice,
    /// A policy without grace: a new owner writes at once.
    NoGrace,
    /// A lane with two in flight: the next notification of a device is written before the answer to the one before.
    TwoInFlight,
    /// A ledger that acknowledges and forgets.
    Forgets,
    /// A ledger that acknowledges before the commit.
    AnswersEarly,
    /// A lease that is renewed though nobody answers.
    LeaseNeverEnds,
    /// A sender that believes every earlier life of its member dead.
    BelievesAllDead,
}

impl Flaw {
    /// Every double.
    pub const DOUBLES: [Self; 8] = [
        Self::RequeuesToTheBack,
        Self::AssignsTwice,
        Self::NoGrace,
        Self::TwoInFlight,
        Self::Forgets,
        Self::AnswersEarly,
        Self::LeaseNeverEnds,
        Self::BelievesAllDead,
    ];

    /// In words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "the true build",
            Self::RequeuesToTheBack => "a broker that requeues to the back",
            Self::AssignsTwice => "a coordinator that assigns twice",
            Self::NoGrace => "a policy without grace",
            Self::TwoInFlight => "a lane with two in flight",
            Self::Forgets => "a ledger that forgets",
            Self::AnswersEarly => "a ledger that answers before it commits",
            Self::LeaseNeverEnds => "a lease that outlives its attachment",
            Self::BelievesAllDead => "a lock that vouches for the living",
        }
    }
}
