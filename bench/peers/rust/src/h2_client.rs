//! A bare client on the crate `h2`: one thread, one connection, as many tasks as requests may be open, made once.

mod load;

use std::rc::Rc;

use load::{Failure, Notifications, arguments, connect};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Failure> {
    let Some(load) = arguments("h2") else { return Ok(()) };
    load::run_local(run(load))
}

async fn run(load: load::Load) -> Result<(), Failure> {
    let stream = connect(&load).await?;
    let mut builder = h2::client::Builder::new();
    builder.enable_push(false).initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
    // The server allows one stream until it has seen a valid provider token, then a thousand.
    builder.initial_max_send_streams(1).max_send_buffer_size(4 << 20).max_frame_size(1 << 20);
    let (client, connection) = builder.handshake(stream).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            eprintln!("{error}");
        }
    });
    let notifications = Rc::new(Notifications::new(&load)?);
    push_one(client.clone(), &notifications).await?;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..load.in_flight {
        let (client, notifications) = (client.clone(), Rc::clone(&notifications));
        workers.spawn_local(async move {
            let mut client = Some(client);
            while let Some(ready) = client.take() {
                client = push_one(ready, &notifications).await.unwrap_or_else(|error| {
                    eprintln!("{error}");
                    None
                });
            }
        });
    }
    while workers.join_next().await.is_some() {}
    notifications.print("h2");
    Ok(())
}

/// Writes the next one and waits for its answer; gives the client back while there is more.
async fn push_one(
    client: h2::client::SendRequest<bytes::Bytes>,
    notifications: &Notifications,
) -> Result<Option<h2::client::SendRequest<bytes::Bytes>>, Failure> {
    let Some(number) = notifications.next().await else { return Ok(None) };
    let mut client = client.ready().await?;
    let (response, mut body) = client.send_request(notifications.request(number, ()), false)?;
    body.send_data(notifications.payload(number), true)?;
    let response = response.await?;
    notifications.answered(response.status());
    Ok(Some(client))
}
