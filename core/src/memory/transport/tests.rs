//! The script decides what comes back and when.

use super::*;
use crate::answer::InDoubt;
use crate::notification::Draft;

fn write(key: u64) -> Write {
    let now = crate::NotificationId::now().at();
    let n = Draft::new("ab", "com.example.im").payload_json("{}").build(now).unwrap();
    Write { key, id: n.id, token: n.token, payload: n.content.payload.clone(), content: n.content }
}

async fn keys(transport: &mut ScriptedTransport) -> Vec<u64> {
    let mut answers = Vec::new();
    transport.progress(&mut answers).await;
    answers.iter().map(|a| a.key).collect()
}

#[tokio::test(start_paused = true)]
async fn answers_by_delay_and_keeps_what_was_written() {
    let mut transport = ScriptedTransport::new(|write| {
        let after = Duration::from_millis(100 - write.key);
        Reaction::Answer(after, Answer::Reply(Reply::bare(200)))
    });
    for key in 1..=3 {
        transport.write(write(key));
    }
    assert_eq!(keys(&mut transport).await, [3]);
    let mut cancelled = Vec::new();
    let too_early = tokio::time::timeout(Duration::ZERO, transport.progress(&mut cancelled)).await;
    assert!(too_early.is_err() && cancelled.is_empty());
    assert_eq!(keys(&mut transport).await, [2]);
    assert_eq!(keys(&mut transport).await, [1]);
    assert_eq!(transport.writes().iter().map(|w| w.key).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn holds_until_released_within_its_room() {
    let mut transport = ScriptedTransport::new(|_| Reaction::Hold);
    transport.set_room(3);
    for key in 1..=3 {
        transport.write(write(key));
    }
    assert_eq!((transport.room(), transport.held()), (0, vec![1, 2, 3]));
    transport.release(2, Answer::Reply(Reply::bare(200)));
    assert_eq!(keys(&mut transport).await, [2]);
    transport.lose(&Answer::InDoubt(InDoubt::ConnectionLost));
    assert_eq!(keys(&mut transport).await, [1, 3]);
    transport.set_room(4);
    assert_eq!(keys(&mut transport).await, [0; 0], "room has grown");
    assert_eq!(transport.room(), 4);
}
