//! Broadcast channels: the requests as Apple's pages have them, and every way of answering.

use crate::server::*;
use bytes::Bytes;
use skein_apns::*;
use skein_apns_sim::{Simulator, SimulatorConfig};

const ID: &str = "dHN0LXNyY2gtY2hubA==";

async fn channels(manage: &Server, publish: &Server, credential: Credential) -> Channels {
    let at = |server: &Server| Endpoint::custom("localhost", server.port(), Environment::Sandbox).unwrap();
    Channels::new(publish.config(), at(manage), credential)
}

fn broadcast(payload: &'static [u8]) -> Broadcast {
    Broadcast {
        channel_id: ID.into(),
        expiration: Expiration::NotStored,
        priority: Priority::PowerAware,
        payload: Bytes::from_static(payload),
    }
}

#[tokio::test]
async fn channels_are_made_read_listed_and_deleted() {
    let server = Server::new().await;
    let mut channels = channels(&server, &server, token()).await;
    let script = async {
        let mut peer = server.accept(MANY).await;
        let request = [("apns-request-id", "r-1"), ("apns-channel-id", ID)];
        let create = peer.request().await;
        peer.reply_with(&create, 201, &request, b"").await;
        let read = peer.request().await;
        peer.reply_with(
            &read,
            200,
            &request[..1],
            br#"{"message-storage-policy":1,"push-type":"LiveActivity"}"#,
        )
        .await;
        let list = peer.request().await;
        // Ten thousand channels: more than a stream's first window.
        let ids: Vec<String> = (0..10_000).map(|n| format!("\"{ID}{n}\"")).collect();
        let body = format!("{{\"channels\":[{}]}}", ids.join(","));
        peer.reply_with(&list, 200, &request[..1], body.as_bytes()).await;
        let delete = peer.request().await;
        peer.reply_with(&delete, 204, &request[..1], b"").await;
        ([create, read, list, delete], peer)
    };
    let calls = async {
        let (id, receipt) = channels.create("com.example.im", StoragePolicy::MostRecent).await.unwrap();
        assert_eq!((id.as_str(), receipt.request_id.as_deref()), (ID, Some("r-1")));
        let (channel, _) = channels.read("com.example.im", ID).await.unwrap();
        assert_eq!(
            channel,
            Channel { storage: Some(StoragePolicy::MostRecent), push_type: "LiveActivity".into() }
        );
        let (ids, _) = channels.list("com.example.im").await.unwrap();
        assert_eq!((ids.len(), ids[9_999].as_str()), (10_000, format!("{ID}9999").as_str()));
        channels.delete("com.example.im", ID).await.unwrap();
    };
    let ((asked, _peer), ()) = tokio::join!(script, calls);
    let lines: Vec<String> =
        asked.iter().map(|a| format!("{} {}", a.header(":method"), a.header(":path"))).collect();
    assert_eq!(
        lines,
        [
            "POST /1/apps/com.example.im/channels",
            "GET /1/apps/com.example.im/channels",
            "GET /1/apps/com.example.im/all-channels",
            "DELETE /1/apps/com.example.im/channels",
        ]
    );
    assert_eq!(asked[0].body, br#"{"message-storage-policy":1,"push-type":"LiveActivity"}"#);
    assert!(asked.iter().all(|a| a.header("authorization").starts_with("bearer ")));
    assert_eq!(asked.each_ref().map(|a| a.header("apns-channel-id")), ["", ID, "", ID]);
}

#[tokio::test]
async fn a_broadcast_says_all_that_is_mandatory_and_needs_no_token_with_a_certificate() {
    let server = Server::new().await;
    let certificate = server.pki.client_certificate();
    let mut channels = channels(&server, &server, certificate).await;
    let script = async {
        let mut peer = server.accept(MANY).await;
        let asked = peer.request().await;
        peer.reply_with(&asked, 200, &[("apns-request-id", "r"), ("apns-unique-id", "u")], b"").await;
        (asked, peer)
    };
    let payload = br#"{"aps":{"event":"end","timestamp":1,"content-state":{}}}"#;
    let broadcast = broadcast(payload);
    let ((asked, _peer), receipt) = tokio::join!(script, channels.publish("com.example.im", &broadcast));
    assert_eq!(receipt.unwrap().unique_id.as_deref(), Some("u"));
    let fields =
        [":method", ":path", "apns-channel-id", "apns-expiration", "apns-priority", "apns-push-type"];
    assert_eq!(
        fields.map(|name| asked.header(name)),
        ["POST", "/4/broadcasts/apps/com.example.im", ID, "0", "5", "liveactivity"]
    );
    assert_eq!((asked.header("authorization"), asked.header("apns-topic")), ("", ""));
    assert_eq!(asked.body, payload);
}

#[tokio::test]
async fn refusals_are_told_with_their_reason_in_every_spelling() {
    let server = Server::new().await;
    let mut channels = channels(&server, &server, token()).await;
    let answers = [
        (400, "ChannelNotRegistered", Reason::ChannelNotRegistered),
        (403, "TopicMismatch", Reason::TopicMismatch),
        (429, "TooManyRequests", Reason::TooManyRequests),
        (403, "BadEnvironmentKeyInToken", Reason::BadEnvironmentKeyIdInToken),
        (503, "Service Unavailable", Reason::ServiceUnavailable),
        (400, "SomethingNew", Reason::Other("SomethingNew".into())),
    ];
    let script = async {
        let mut peer = server.accept(MANY).await;
        for (status, word, reason) in &answers {
            let asked = peer.request().await;
            let body = format!("{{\"reason\":\"{word}\"}}");
            peer.reply_with(&asked, *status, &[("apns-request-id", "r")], body.as_bytes()).await;
            if reason.retires_connection() {
                peer = server.accept(MANY).await;
            }
        }
        peer
    };
    let calls = async {
        for (expected, _, word) in &answers {
            let error = channels.read("com.example.im", ID).await.unwrap_err();
            let ChannelError::Refused { status, reason, request_id } = error else { panic!("{error}") };
            assert_eq!((status, reason.as_ref(), request_id.as_deref()), (*expected, Some(word), Some("r")));
        }
    };
    tokio::join!(async { drop(script.await) }, calls);
}

#[tokio::test]
async fn what_is_lost_after_the_write_is_in_doubt_and_an_old_connection_is_not_trusted() {
    let server = Server::new().await;
    let mut channels = channels(&server, &server, token()).await;
    let script = async {
        let mut peer = server.accept(MANY).await;
        let asked = peer.request().await;
        peer.reply_with(&asked, 200, &[], br#"{"channels":[]}"#).await;
        // It ends while nobody looks: the next call finds it out before it writes.
        drop(peer);
        let mut peer = server.accept(MANY).await;
        peer.goaway(0, b"").await;
        drop(peer);
        // That one was certainly not processed: asked once more.
        let mut peer = server.accept(MANY).await;
        peer.request().await;
        peer.cut();
    };
    let calls = async {
        assert_eq!(channels.list("com.example.im").await.unwrap().0, Vec::<String>::new());
        channels.create("com.example.im", StoragePolicy::NoStorage).await.unwrap_err()
    };
    let ((), error) = tokio::join!(script, calls);
    assert!(matches!(error, ChannelError::InDoubt(InDoubt::ConnectionLost)), "{error}");
}

#[tokio::test]
async fn what_apns_would_refuse_is_not_sent() {
    let server = Server::new().await;
    let mut channels = channels(&server, &server, token()).await;
    let invalid = |result: Result<Receipt, ChannelError>| matches!(result, Err(ChannelError::Invalid(_)));
    let long: &'static [u8] = &[b' '; BROADCAST_BYTES_MAX + 1];
    assert!(invalid(channels.publish("com.example.im", &broadcast(b"")).await));
    assert!(invalid(channels.publish("com.example.im", &broadcast(long)).await));
    assert!(invalid(channels.publish("com/example", &broadcast(b"{}")).await));
    let unset = Broadcast { expiration: Expiration::Unset, ..broadcast(b"{}") };
    assert!(invalid(channels.publish("com.example.im", &unset).await));
    let slow = Broadcast { priority: Priority::PowerFirst, ..broadcast(b"{}") };
    assert!(invalid(channels.publish("com.example.im", &slow).await));
    assert!(invalid(channels.delete("com.example.im", "a b").await));
}

/// The same words as a server that was written apart from this client.
#[tokio::test]
async fn the_simulator_knows_what_was_made_published_and_deleted() {
    let simulator = Simulator::start(SimulatorConfig::default()).unwrap();
    let address = simulator.addr();
    let endpoint = Endpoint::custom(&address.ip().to_string(), address.port(), Environment::Sandbox).unwrap();
    let roots = Roots::from_pem(simulator.ca_pem().as_bytes()).unwrap();
    let config = ClientConfig { roots, ..ClientConfig::new(endpoint.clone()) };
    let mut channels = Channels::new(config, endpoint, token());
    let bundle = "com.example.im";
    let (id, receipt) = channels.create(bundle, StoragePolicy::NoStorage).await.unwrap();
    assert!(receipt.request_id.is_some());
    assert_eq!(channels.list(bundle).await.unwrap().0, std::slice::from_ref(&id));
    assert_eq!(channels.read(bundle, &id).await.unwrap().0.storage, Some(StoragePolicy::NoStorage));
    let end = br#"{"aps":{"event":"end","timestamp":1,"content-state":{}}}"#;
    let broadcast = Broadcast { channel_id: id.clone(), ..broadcast(end) };
    channels.publish(bundle, &broadcast).await.unwrap();
    let stored = Broadcast { expiration: Expiration::At(4_000_000_000), ..broadcast };
    let refused = |error: ChannelError| match error {
        ChannelError::Refused { reason, .. } => reason,
        other => panic!("{other}"),
    };
    let error = channels.publish(bundle, &stored).await.unwrap_err();
    assert_eq!(refused(error), Some(Reason::BadExpirationDate), "its channel stores nothing");
    channels.delete(bundle, &id).await.unwrap();
    let error = channels.read(bundle, &id).await.unwrap_err();
    assert_eq!(refused(error), Some(Reason::ChannelNotRegistered));
}
