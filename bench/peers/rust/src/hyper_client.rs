//! A bare client on the crate `hyper`: one thread, one connection, as many tasks as requests may be open, made once.

mod load;

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use load::{Failure, Notifications, arguments, connect};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

fn main() -> Result<(), Failure> {
    let Some(load) = arguments("hyper") else { return Ok(()) };
    load::run_local(run(load))
}

async fn run(load: load::Load) -> Result<(), Failure> {
    let stream = connect(&load).await?;
    let mut builder = Builder::new(Local);
    builder.initial_stream_window_size(1 << 20).initial_connection_window_size(1 << 20);
    builder.initial_max_send_streams(1).max_send_buf_size(1 << 20).max_frame_size(1 << 20);
    let (mut client, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            eprintln!("{error}");
        }
    });
    let notifications = Rc::new(Notifications::new(&load)?);
    push_one(&mut client, &notifications).await?;
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..load.in_flight {
        let (mut client, notifications) = (client.clone(), Rc::clone(&notifications));
        workers.spawn_local(async move {
            while push_one(&mut client, &notifications).await.unwrap_or_else(|error| {
                eprintln!("{error}");
                false
            }) {}
        });
    }
    while workers.join_next().await.is_some() {}
    notifications.print("hyper");
    Ok(())
}

/// Writes the next one and waits for its answer; says whether there may be more.
async fn push_one(
    client: &mut SendRequest<Full<Bytes>>,
    notifications: &Notifications,
) -> Result<bool, Failure> {
    let Some(number) = notifications.next().await else { return Ok(false) };
    client.ready().await?;
    let body = Full::new(notifications.payload(number));
    let response = client.send_request(notifications.request(number, body)).await?;
    notifications.answered(response.status());
    Ok(true)
}
