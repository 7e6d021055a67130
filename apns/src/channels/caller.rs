//! One connection for calls, made when there is one to make, kept for the next.

use super::ChannelError;
use crate::answer::{Answer, InDoubt, NotSent};
use crate::client::ClientConfig;
use crate::connection::{Call, Heard, Lost};
use crate::credential::Credential;
use crate::quiet_link::QuietLink;
use crate::reason::Reason;
use std::time::{Duration, Instant, SystemTime};

/// A connection older than this is not used again: its provider token is young then, and its address fresh.
const AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// Attempts of one call that was certainly not processed.
const ATTEMPTS_MAX: u32 = 2;

/// Calls one host.
pub(super) struct Caller {
    config: ClientConfig,
    link: Option<QuietLink>,
    next_key: u64,
    turn: usize,
}

/// An answered call.
pub(super) struct Response {
    pub status: u16,
    pub reason: Option<Reason>,
    pub heard: Heard,
}

impl Caller {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, link: None, next_key: 1, turn: 0 }
    }

    /// Sends a call; once more if it was certainly not processed.
    pub(super) async fn call(
        &mut self,
        credential: &Credential,
        mut call: Call,
    ) -> Result<Response, ChannelError> {
        let mut attempt = 1;
        loop {
            call.key = self.next_key;
            self.next_key += 1;
            match self.attempt(credential, call.clone()).await? {
                Ok(response) => return Ok(response),
                Err(_) if attempt < ATTEMPTS_MAX => attempt += 1,
                Err(why) => return Err(ChannelError::NotSent(why)),
            }
        }
    }

    async fn attempt(
        &mut self,
        credential: &Credential,
        call: Call,
    ) -> Result<Result<Response, NotSent>, ChannelError> {
        let mut link = match self.usable().await {
            Some(link) => link,
            None => match self.connect(credential).await? {
                Ok(link) => link,
                Err(why) => return Ok(Err(why)),
            },
        };
        let key = call.key;
        if link.machine.call(call, Instant::now()).is_err() {
            return Ok(Err(NotSent::NeverWritten));
        }
        let mut answers = Vec::new();
        // The machine's own deadline bounds it.
        let ended = loop {
            let turned = link.turn(&mut answers).await;
            if turned.is_err() || !answers.is_empty() {
                break turned.err();
            }
        };
        let heard = link.machine.take_heard(key).unwrap_or_default();
        let mut answer = answers.pop().map(|(_, answer)| answer);
        match ended {
            None => self.link = Some(link),
            Some(lost) => answer = answer.or(link.end(lost).await),
        }
        match answer {
            Some(Answer::Reply { status, reason, .. }) => Ok(Ok(Response { status, reason, heard })),
            Some(Answer::NotSent { why: NotSent::CertificateRefused, .. }) => {
                Err(ChannelError::CertificateRefused)
            }
            Some(Answer::NotSent { why, .. }) => Ok(Err(why)),
            Some(Answer::InDoubt { why, .. }) => Err(ChannelError::InDoubt(why)),
            None => Err(ChannelError::InDoubt(InDoubt::ConnectionLost)),
        }
    }

    /// The connection of the call before, if it still stands.
    async fn usable(&mut self) -> Option<QuietLink> {
        let mut link = self.link.take()?;
        let stands = link.look(&mut Vec::new()).await.is_ok();
        (stands && !link.machine.is_retiring() && link.opened.elapsed() < AGE_MAX).then_some(link)
    }

    /// A connection on which the server has spoken, so that a call is not written to one that refuses us.
    async fn connect(&mut self, credential: &Credential) -> Result<Result<QuietLink, NotSent>, ChannelError> {
        let authorization = match credential {
            Credential::Token(key) => Some(key.authorization(SystemTime::now())),
            Credential::Certificate(_) => None,
        };
        self.turn = self.turn.wrapping_add(1);
        let ping_after = self.config.ping_after;
        let mut link =
            QuietLink::open(&self.config, credential, authorization, ping_after, self.turn).await?;
        let mut answers = Vec::new();
        while !link.machine.has_heard_peer() && !link.machine.is_retiring() {
            match link.turn(&mut answers).await {
                Ok(()) => {}
                Err(Lost::CertificateRefused) => return Err(ChannelError::CertificateRefused),
                Err(lost) => return Ok(Err(NotSent::NoConnection(lost.of_connecting()))),
            }
        }
        Ok(Ok(link))
    }
}
