//! The demo's producer: it submits as a backend does, waits for confirmations, and keeps the list of what was confirmed.

use std::time::Duration;

use anyhow::Context as _;
use skein_core::notification::Draft;
use skein_core::seam::{Clock as _, Submit, SubmitError};
use skein_core::{DeviceToken, Notification, NotificationKey, PoolName};

use skein_backends::clock::SystemClock;

use crate::args::Demo;
use crate::exit::Failure;

/// Notifications a submission.
const CHUNK: u64 = 500;
/// How long the producer waits when it meets back-pressure.
const BACK_PRESSURE_PAUSE: Duration = Duration::from_millis(20);

/// One confirmed notification.
pub struct Accepted {
    /// Its key.
    pub key: NotificationKey,
    /// Its device token.
    pub token: DeviceToken,
    /// Its place among those of its token.
    pub sequence: u64,
}

/// The traffic to come.
pub struct Traffic {
    notifications: u64,
    tokens: u64,
    seed: u64,
    pool: PoolName,
}

impl Traffic {
    /// As the arguments say.
    pub fn new(arguments: &Demo, pool: PoolName) -> Self {
        Self {
            notifications: arguments.notifications,
            tokens: arguments.tokens.max(1),
            seed: arguments.seed,
            pool,
        }
    }

    /// Submits all of it, in chunks, each confirmed before the next.
    pub async fn run(self, submit: impl Submit) -> Result<Vec<Accepted>, Failure> {
        let mut accepted = Vec::with_capacity(usize::try_from(self.notifications).unwrap_or(0));
        let mut next = 0;
        while next < self.notifications {
            let end = (next + CHUNK).min(self.notifications);
            let chunk = (next..end).map(|n| self.notification(n)).collect::<Result<Vec<_>, Failure>>()?;
            self.submit_chunk(&submit, chunk, next, &mut accepted).await?;
            next = end;
        }
        Ok(accepted)
    }

    /// Submits until each is confirmed; the same ids again where the outcome was back-pressure.
    async fn submit_chunk(
        &self,
        submit: &impl Submit,
        mut chunk: Vec<Notification>,
        first: u64,
        accepted: &mut Vec<Accepted>,
    ) -> Result<(), Failure> {
        let mut numbers: Vec<u64> = (first..).take(chunk.len()).collect();
        while !chunk.is_empty() {
            let outcomes = submit.submit(&self.pool, chunk.clone()).await;
            let (mut again, mut again_numbers) = (Vec::new(), Vec::new());
            for ((outcome, notification), number) in outcomes.into_iter().zip(chunk).zip(numbers) {
                match outcome {
                    Ok(_) => accepted.push(Accepted {
                        key: notification.key(),
                        token: notification.token,
                        sequence: number / self.tokens,
                    }),
                    Err(SubmitError::BackPressure(_)) => {
                        again.push(notification);
                        again_numbers.push(number);
                    }
                    Err(error) => {
                        return Err(anyhow::anyhow!(error).context("a notification was not accepted").into());
                    }
                }
            }
            if !again.is_empty() {
                tokio::time::sleep(BACK_PRESSURE_PAUSE).await;
            }
            (chunk, numbers) = (again, again_numbers);
        }
        Ok(())
    }

    fn notification(&self, number: u64) -> Result<Notification, Failure> {
        let (device, sequence) = (number % self.tokens, number / self.tokens);
        let payload = format!(
            "{{\"aps\":{{\"alert\":{{\"title\":\"Conversation {device}\",\"body\":\"Message number {number} of this demo, which says hello and nothing else\"}},\"sound\":\"default\",\"thread-id\":\"c{device}\"}},\"skein_seq\":{sequence}}}"
        );
        Draft::new(token(self.seed, device), "com.example.im")
            .payload_json(payload)
            .user(&format!("user-{device}"))
            .app("demo")
            .build(SystemClock.now())
            .map_err(|faults| anyhow::anyhow!("{faults:?}"))
            .context("the demo's own notification is faulty")
            .map_err(Failure::from)
    }
}

/// A device token of 32 bytes that looks like any other.
pub fn token(seed: u64, device: u64) -> String {
    let mut state = seed ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..4)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            format!("{:016x}", z ^ (z >> 31))
        })
        .collect()
}
