//! What an operator can do about a refusal that stops a pool: one line for each of Apple's reasons.

use skein_core::Reason;
use skein_core::answer::Answer;

/// What to look at, by the answer that stopped the pool.
pub fn advice(answer: &Answer) -> &'static str {
    use Reason as R;
    let Answer::Reply(reply) = answer else { return GENERAL };
    match &reply.reason {
        Some(R::ExpiredProviderToken) => {
            "provider tokens are made anew for each connection and yet too old or too new for APNs: check this machine's clock"
        }
        Some(R::InvalidProviderToken) => {
            "check the key id, the team, that the key is not revoked and covers the topic, and this machine's clock"
        }
        Some(R::TooManyProviderTokenUpdates) => {
            "a connection saw two provider tokens within 20 minutes: check for a proxy that shares connections"
        }
        Some(R::UnrelatedKeyIdInToken) => {
            "a connection saw keys that do not belong together: check for a proxy that shares connections"
        }
        Some(R::MissingProviderToken) => {
            "APNs saw neither certificate nor provider token: check for a proxy that ends TLS"
        }
        Some(R::BadEnvironmentKeyIdInToken) => {
            "the key is for the other environment: check the pool's environment and key"
        }
        Some(R::BadCertificate) => "the certificate is not valid any more: replace it",
        Some(R::BadCertificateEnvironment) => {
            "the certificate is for the other environment: check the pool's environment and certificate"
        }
        Some(R::TopicDisallowed | R::Forbidden) => {
            "the credential may not push to this topic: check the pool's topics and the rights of its team"
        }
        Some(R::BadDeviceToken) => {
            "most device tokens are refused: the pool's environment is probably the wrong one; no token is given up"
        }
        Some(R::DeviceTokenNotForTopic | R::BadTopic | R::MissingTopic) => {
            "most device tokens do not belong to the topic: check the topic that is submitted and the pool's topics; no token is given up"
        }
        _ => GENERAL,
    }
}

/// What to look at when the handshake ends in a refusal of our certificate.
pub const CERTIFICATE: &str = "the certificate is expired, revoked or not one for APNs: check it with `skein credential check`, put a new one into its file";
/// What to look at when the server's certificate is not trusted.
pub const CHAIN: &str =
    "check the pool's endpoint and roots, this machine's clock, and whether something on the way ends TLS";
const GENERAL: &str = "check the credential's environment, topics and expiry";

#[cfg(test)]
mod tests {
    use skein_core::answer::Reply;
    use skein_core::judge;
    use skein_core::retry_schedule::{Attempts, RetrySchedule};
    use skein_core::verdict::PoolAction;

    use super::*;

    #[test]
    fn every_reason_that_stops_a_pool_has_advice_of_its_own() {
        for reason in Reason::KNOWN {
            let answer = Answer::Reply(Reply::refusal(403, reason.clone()));
            let judgement =
                judge(&answer, &Attempts::default(), &RetrySchedule::default(), std::time::Duration::ZERO);
            let stops = judgement.pool != PoolAction::None;
            assert_eq!(stops, advice(&answer) != GENERAL, "{}", reason.label());
        }
        let clock = Answer::Reply(Reply::refusal(403, Reason::ExpiredProviderToken));
        assert!(advice(&clock).contains("clock"));
    }
}
