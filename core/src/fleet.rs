//! The fleet as data: what the coordinator stores and the monitor reads. Plain values with one JSON form each; the rules of how
//! an assignment may change are [`change`]; who decides on changes is [`crate::plan`].

pub mod assignment;
pub mod change;
pub mod decision;
pub mod member;
pub mod policy;
pub mod report;
pub mod wish;

pub use assignment::{Cause, Note, Owner, PRESENCE, QueueAssignment};
pub use change::{Change, Refused};
pub use decision::{Because, Decided, Decision, Keep};
pub use member::{Health, Incarnation, Load, Member, MemberId, ServedPool};
pub use policy::Policy;
pub use report::{CredentialReport, Report};
pub use wish::{Quarantine, Wanted, Wish, WishId};
