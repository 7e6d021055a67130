//! The way to a host: its addresses, tried one shortly after the other, and the first that answers.

use crate::answer::ConnectFailure;
use crate::dial::DialError;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Addresses of one name that are tried for one connection.
const ADDRESSES_MAX: usize = 4;
/// An address is given this long before the next is tried beside it (RFC 8305 §5): what a family that leads nowhere costs.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A TCP connection to one of the addresses of `host`. How long it may take in all is the caller's to bound.
pub(crate) async fn reach(host: &str, port: u16, turn: usize) -> Result<(TcpStream, SocketAddr), DialError> {
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| DialError::new(ConnectFailure::Dns, format_args!("{host}: {error}")))?;
    let nowhere = DialError::new(ConnectFailure::Dns, format_args!("{host} has no address"));
    race(in_turn(found.collect(), turn), nowhere).await
}

/// Tries each address [`ATTEMPT_DELAY`] after the one before, or as soon as one fails. The first that connects wins, the
/// other attempts are dropped; if none does, the error of the last to fail, or `nowhere` without an address.
async fn race(addresses: Vec<SocketAddr>, nowhere: DialError) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut untried = addresses.into_iter().take(ADDRESSES_MAX);
    let mut attempts = FuturesUnordered::new();
    let mut last = nowhere;
    loop {
        attempts.extend(untried.next().map(connect));
        match timeout(ATTEMPT_DELAY, attempts.next()).await {
            Ok(Some(Ok(reached))) => return Ok(reached),
            Ok(Some(Err(error))) => last = error,
            Ok(None) => return Err(last),
            Err(_) => {}
        }
    }
}

async fn connect(address: SocketAddr) -> Result<(TcpStream, SocketAddr), DialError> {
    let connected = TcpStream::connect(address).await.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
    connected.map(|tcp| (tcp, address)).map_err(|error| {
        let DialError { failure, detail } = DialError::of_io(&error);
        DialError { failure, detail: format!("{address}: {detail}") }
    })
}

/// Both families alternately, each rotated by `turn`, so that neighbours in time use different addresses and one broken
/// family costs one step.
fn in_turn(addresses: Vec<SocketAddr>, turn: usize) -> Vec<SocketAddr> {
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    for family in [&mut v6, &mut v4] {
        family.sort();
        family.dedup();
        if !family.is_empty() {
            let by = turn % family.len();
            family.rotate_left(by);
        }
    }
    let mut merged = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return merged;
        }
        merged.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn nowhere() -> DialError {
        DialError::new(ConnectFailure::Dns, "no address")
    }

    #[test]
    fn addresses_alternate_between_families_and_rotate() {
        let all: Vec<SocketAddr> =
            ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1"].map(|a| a.parse().unwrap()).to_vec();
        let text = |turn| in_turn(all.clone(), turn).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(0), ["[::1]:1", "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
        assert_eq!(text(1), ["[::1]:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.1:1"]);
        assert!(in_turn(Vec::new(), 3).is_empty());
    }

    #[tokio::test]
    async fn a_name_that_does_not_resolve_is_a_fault_of_dns() {
        // Refused by the resolver itself: the test asks no name server.
        let error = reach("no\0name", 443, 0).await.unwrap_err();
        assert_eq!(error.failure, ConnectFailure::Dns);
        assert_eq!(race(Vec::new(), nowhere()).await.unwrap_err().detail, "no address");
    }

    #[tokio::test]
    async fn the_error_is_that_of_an_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = race(vec![address], nowhere()).await.unwrap_err();
        assert_eq!(error.failure, ConnectFailure::Refused);
        assert!(error.detail.starts_with(&address.to_string()), "{}", error.detail);
    }

    /// An address that answers nothing any more: the kernel drops what comes for a listener with a full queue.
    #[cfg(target_os = "linux")]
    async fn black_hole() -> (SocketAddr, TcpListener, TcpStream) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let fills = TcpStream::connect(address).await.unwrap();
        (address, listener, fills)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn addresses_that_never_answer_cost_a_step_each() {
        let holes = [black_hole().await, black_hole().await, black_hole().await];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let mut addresses: Vec<_> = holes.iter().map(|(address, ..)| *address).collect();
        let in_vain = timeout(2 * ATTEMPT_DELAY, connect(addresses[0])).await;
        assert!(in_vain.is_err(), "it answers: {in_vain:?}");
        addresses.push(good);
        // One after the other each would have its share of the connect timeout: 7.5 s before the good one is tried.
        let reached = timeout(Duration::from_secs(6), race(addresses, nowhere())).await;
        assert_eq!(reached.expect("in time").unwrap().1, good);
    }
}
