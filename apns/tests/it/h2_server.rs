//! Against the `h2` crate's server, which shares no code with ours.

use crate::server::*;
use bytes::Bytes;
use http::{Response, StatusCode};
use skein_apns::*;
use std::collections::HashSet;

const NOTIFICATIONS: u64 = 5_000;

async fn serve(server: &Server) {
    let stream = server.accept_tls().await.unwrap();
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(50)
        .initial_window_size(1_000)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    let mut seen = HashSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted.unwrap();
        let id = request.headers()["apns-id"].clone();
        assert!(seen.insert(id.clone()), "each is written once");
        assert_eq!(request.headers()["apns-topic"], "com.example.im");
        let refused = seen.len() % 10 == 0;
        let status = if refused { StatusCode::GONE } else { StatusCode::OK };
        let response = Response::builder().status(status).header("apns-id", id).body(()).unwrap();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(chunk) = body.data().await {
                let chunk = chunk.unwrap();
                body.flow_control().release_capacity(chunk.len()).unwrap();
            }
            let mut stream = respond.send_response(response, !refused).unwrap();
            if refused {
                let body = Bytes::from_static(br#"{"reason":"Unregistered","timestamp":1}"#);
                stream.send_data(body, true).unwrap();
            }
        });
    }
    assert_eq!(seen.len() as u64, NOTIFICATIONS);
}

#[tokio::test]
async fn thousands_of_pushes_get_one_reply_each() {
    let server = Server::new().await;
    let config = ClientConfig { connections_max: 1, ..server.config() };
    let mut client = Client::new(config, token());
    let push = async {
        let (mut next, mut found) = (0, Vec::new());
        while (found.len() as u64) < NOTIFICATIONS {
            while next < NOTIFICATIONS && client.room() > 0 {
                let mut push = request(next);
                push.apns_id = u128::from(next).to_be_bytes();
                push.payload = Bytes::from(vec![b' '; (next % 4_096) as usize + 1]);
                client.write(push).unwrap();
                next += 1;
            }
            client.progress(&mut found).await;
        }
        let mut none = Vec::new();
        client.drain(std::time::Instant::now(), &mut none).await;
        assert!(none.is_empty());
        found
    };
    let ((), mut found) = tokio::join!(serve(&server), push);
    found.sort_by_key(|(key, _)| *key);
    for (n, (key, answer)) in found.iter().enumerate() {
        assert_eq!(*key, n as u64);
        let Answer::Reply { status, reason, apns_id, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(*apns_id, Some(u128::from(*key).to_be_bytes()));
        assert_eq!(*status == 410, *reason == Some(Reason::Unregistered));
    }
    let refused = found.iter().filter(|(_, a)| matches!(a, Answer::Reply { status: 410, .. })).count();
    assert_eq!(refused as u64, NOTIFICATIONS / 10);
}
