//! Pushes in, answers out: a client kept busy with a bounded number of pushes in flight.

use crate::authority::TOPIC;
use bytes::Bytes;
use skein_apns::{Answer, Client, Expiration, Priority, PushType, Request};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any load needs: only a hang ends here.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A push and its one answer.
#[derive(Debug)]
pub struct Done {
    pub request: Request,
    pub answer: Answer,
}

/// By key.
pub type Answers = BTreeMap<u64, Done>;

/// A push whose id, token and body all follow from its key; `wish` (in `apns-collapse-id`) tells a server of ours how to
/// answer.
pub fn push(key: u64, payload_bytes: usize, wish: &str) -> Request {
    let mut payload = format!(r#"{{"aps":{{"alert":"{key}"}},"fill":""#).into_bytes();
    let fill = payload_bytes.saturating_sub(payload.len() + 2);
    payload.extend((0..fill).map(|n| b'a' + ((key as usize + n) % 26) as u8));
    payload.extend_from_slice(b"\"}");
    Request {
        key,
        token: Bytes::copy_from_slice(&[key.to_be_bytes(); 4].concat()),
        topic: TOPIC.into(),
        push_type: PushType::Alert,
        priority: if key.is_multiple_of(3) { Priority::PowerAware } else { Priority::Immediate },
        expiration: Expiration::NotStored,
        collapse_id: (!wish.is_empty()).then(|| wish.into()),
        apns_id: id_of(key),
        payload: Bytes::from(payload),
    }
}

pub fn id_of(key: u64) -> [u8; 16] {
    (0x5ce1_0000_0000_4000_8000_u128 << 48 | u128::from(key)).to_be_bytes()
}

/// Writes `pushes`, at most `in_flight` unanswered, and gives the one answer of each. `seen` is told after each batch how
/// many have come.
pub async fn drive(
    client: &mut Client,
    pushes: impl IntoIterator<Item = Request>,
    in_flight: usize,
    mut seen: impl FnMut(usize),
) -> Answers {
    let mut pushes = pushes.into_iter().peekable();
    let (mut open, mut answers, mut batch) = (BTreeMap::new(), Answers::new(), Vec::new());
    let work = async {
        loop {
            while open.len() < in_flight && pushes.peek().is_some() && client.room() > 0 {
                let request = pushes.next().unwrap();
                open.insert(request.key, request.clone());
                client.write(request).unwrap();
            }
            if open.is_empty() && pushes.peek().is_none() {
                return;
            }
            client.progress(&mut batch).await;
            for (key, answer) in batch.drain(..) {
                let request =
                    open.remove(&key).unwrap_or_else(|| panic!("{key}, which is not open: {answer:?}"));
                answers.insert(key, Done { request, answer });
            }
            seen(answers.len());
        }
    };
    let ended = tokio::time::timeout(PATIENCE, work).await;
    assert!(
        ended.is_ok(),
        "{} pushes answered and {} open, then nothing: {:?} {:?}",
        answers.len(),
        open.len(),
        client.status(),
        client.health()
    );
    answers
}
