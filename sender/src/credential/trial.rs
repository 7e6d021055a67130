//! The trial of a new credential on one shard: what the first answers on its connections say of it.
//!
//! While it lasts, a refusal of the credential is no verdict on a notification: nothing was processed, the old credential
//! is about to be back, and the notification is written again.

use skein_apns as apns;
use skein_apns::{Answer, NotSent, Reason};

use super::slot::Ended;

/// The trial of one version.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// The version on trial.
    pub version: u64,
    /// The first of its connections; older ones speak of the credential before.
    first_connection: u64,
    /// Of the connections from here on, another credential is spoken of again.
    end_connection: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Taken,
    Refused,
}

impl Trial {
    /// Begins with the first connection that the new credential makes.
    pub fn new(version: u64, first_connection: u64) -> Self {
        Self { version, first_connection, end_connection: u64::MAX, state: State::Open }
    }

    /// Another credential is in place from this connection on. What is still to come from the connections of one that was
    /// refused is still no verdict.
    pub fn succeeded_by(&mut self, connection: u64) {
        self.end_connection = self.end_connection.min(connection);
    }

    /// Whether it is still to be found out.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// APNs refused the credential without an answer to a push: in the handshake.
    pub fn refused_otherwise(&mut self, why: &str) -> Option<Ended> {
        (self.state == State::Open).then(|| {
            self.state = State::Refused;
            Ended::Refused(why.to_owned())
        })
    }

    /// Looks at an answer: how the trial ends by it, if it does, and whether the answer only says that the credential is
    /// refused.
    pub fn judge(&mut self, answer: &Answer) -> (Option<Ended>, bool) {
        let of_it = (self.first_connection..self.end_connection).contains(&answer.evidence().connection);
        if !of_it || self.state == State::Taken {
            return (None, false);
        }
        let why = match answer {
            Answer::Reply { status, reason, .. } => match refusal(*status, reason.as_ref()) {
                Some(why) => why,
                None if self.state == State::Open => {
                    self.state = State::Taken;
                    return (Some(Ended::Taken), false);
                }
                None => return (None, false),
            },
            Answer::NotSent { why: NotSent::CertificateRefused, .. } => {
                "the handshake refuses the certificate"
            }
            Answer::NotSent { .. } | Answer::InDoubt { .. } => return (None, false),
        };
        (self.refused_otherwise(why), true)
    }
}

/// What of an answer speaks against the credential as a whole. 403 without a word of why is one of them.
fn refusal(status: u16, reason: Option<&Reason>) -> Option<&'static str> {
    use apns::Reason as R;
    match reason {
        Some(
            reason @ (R::BadCertificate
            | R::BadCertificateEnvironment
            | R::InvalidProviderToken
            | R::MissingProviderToken
            | R::ExpiredProviderToken
            | R::UnrelatedKeyIdInToken
            | R::BadEnvironmentKeyIdInToken
            | R::Forbidden
            | R::TopicDisallowed),
        ) => Some(reason.label()),
        None | Some(R::Other(_)) if status == 403 => Some("403"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_apns::Evidence;

    fn reply(connection: u64, status: u16, reason: Option<Reason>) -> Answer {
        let evidence = Evidence { connection, ..Evidence::default() };
        Answer::Reply { status, reason, timestamp_ms: None, apns_id: None, apns_unique_id: None, evidence }
    }

    #[test]
    fn p5_the_old_credential_s_answers_say_nothing_of_the_new() {
        let mut trial = Trial::new(2, 10);
        assert_eq!(trial.judge(&reply(9, 200, None)), (None, false));
        assert_eq!(trial.judge(&reply(9, 403, Some(Reason::BadCertificate))), (None, false));
        assert!(trial.is_open());
        assert_eq!(trial.judge(&reply(10, 410, Some(Reason::Unregistered))), (Some(Ended::Taken), false));
        assert_eq!(trial.judge(&reply(10, 403, Some(Reason::BadCertificate))), (None, false), "it was taken");
    }

    #[test]
    fn a_refused_one_is_told_once_and_its_answers_are_no_verdicts() {
        let mut trial = Trial::new(2, 10);
        let bad = || reply(11, 403, Some(Reason::InvalidProviderToken));
        assert_eq!(trial.judge(&bad()), (Some(Ended::Refused("InvalidProviderToken".into())), true));
        assert_eq!(trial.judge(&bad()), (None, true));
        trial.succeeded_by(13);
        assert_eq!(trial.judge(&bad()), (None, true), "what was under way");
        assert_eq!(trial.judge(&reply(13, 403, None)), (None, false), "that is the old one again");
    }

    #[test]
    fn every_reason_is_sorted() {
        let refusals: Vec<&str> = Reason::ALL
            .iter()
            .filter(|reason| Trial::new(1, 0).judge(&reply(1, 400, Some((*reason).clone()))).1)
            .map(Reason::label)
            .collect();
        assert_eq!(
            refusals,
            [
                "TopicDisallowed",
                "BadCertificate",
                "BadCertificateEnvironment",
                "ExpiredProviderToken",
                "Forbidden",
                "InvalidProviderToken",
                "MissingProviderToken",
                "UnrelatedKeyIdInToken",
                "BadEnvironmentKeyIdInToken",
            ]
        );
    }
}
