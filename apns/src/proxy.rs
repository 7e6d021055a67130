//! A tunnel through an HTTP proxy (RFC 9110 §9.3.6), before TLS begins.

use crate::answer::ConnectFailure;
use crate::dial::DialError;
use crate::endpoint::{Endpoint, Proxy, bracketed};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// Bytes of a proxy's answer to CONNECT.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a refusing proxy's status line that are shown.
const STATUS_LINE_BYTES_SHOWN: usize = 80;

/// Asks for a tunnel and reads the proxy's answer, not one byte more: what follows belongs to TLS.
pub(crate) async fn open_tunnel<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    proxy: &Proxy,
    endpoint: &Endpoint,
) -> Result<(), DialError> {
    let lost = |error: std::io::Error| {
        DialError::new(
            ConnectFailure::ProxyLost,
            format_args!("the proxy hangs up before its answer: {error}"),
        )
    };
    let refused = |detail: &str| DialError::new(ConnectFailure::ProxyRefused, detail);
    stream.write_all(request(proxy, endpoint).as_bytes()).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == ANSWER_BYTES_MAX {
            return Err(refused("the proxy's answer has no end"));
        }
        answer.push(stream.read_u8().await.map_err(lost)?);
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let status = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or_default();
    match status {
        [b'2', _, _] => Ok(()),
        b"407" => {
            let what = match proxy.user {
                Some(_) => "the proxy refuses the user or password (407)",
                None => "the proxy wants a user and password (407)",
            };
            Err(DialError::new(ConnectFailure::ProxyAuthentication, what))
        }
        _ => {
            let line = String::from_utf8_lossy(&line[..line.len().min(STATUS_LINE_BYTES_SHOWN)]);
            Err(refused(&format!("the proxy refuses the tunnel: {line:?}")))
        }
    }
}

fn request(proxy: &Proxy, endpoint: &Endpoint) -> Zeroizing<String> {
    let target = format!("{}:{}", bracketed(endpoint.host()), endpoint.port());
    let mut text = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some((user, password)) = &proxy.user {
        let mut pair = Zeroizing::new(user.as_bytes().to_vec());
        pair.push(b':');
        pair.extend_from_slice(password.expose());
        text.push_str("Proxy-Authorization: Basic ");
        STANDARD.encode_string(pair.as_slice(), &mut text);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Environment;
    use crate::secret::Secret;
    use tokio::io::duplex;

    async fn against(answer: &'static [u8]) -> (Result<(), DialError>, String) {
        let (mut ours, mut theirs) = duplex(ANSWER_BYTES_MAX * 2);
        let user = Some(("user".into(), Secret::from("pass".to_owned())));
        let proxy = Proxy { user, ..Proxy::new("proxy", 3128) };
        let endpoint = Endpoint::custom("apns.example", 443, Environment::Sandbox).unwrap();
        theirs.write_all(answer).await.unwrap();
        let result = open_tunnel(&mut ours, &proxy, &endpoint).await;
        let mut asked = vec![0; 1024];
        let len = theirs.read(&mut asked).await.unwrap();
        asked.truncate(len);
        (result, String::from_utf8(asked).unwrap())
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_with_authentication() {
        let (result, asked) = against(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n").await;
        result.unwrap();
        assert_eq!(
            asked,
            "CONNECT apns.example:443 HTTP/1.1\r\nHost: apns.example:443\r\n\
             Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn each_kind_of_no_has_its_class() {
        use ConnectFailure::{ProxyAuthentication, ProxyRefused};
        for (answer, class) in [
            (&b"HTTP/1.1 407 Auth\r\n\r\n"[..], ProxyAuthentication),
            (b"HTTP/1.0 503 No\r\n\r\n", ProxyRefused),
            (b"SSH-2.0\r\n\r\n", ProxyRefused),
            (&[b'x'; ANSWER_BYTES_MAX], ProxyRefused),
        ] {
            assert_eq!(against(answer).await.0.unwrap_err().failure, class);
        }
    }

    #[tokio::test]
    async fn a_proxy_that_hangs_up_is_lost() {
        let (mut ours, theirs) = duplex(1024);
        let endpoint = Endpoint::custom("::1", 443, Environment::Sandbox).unwrap();
        drop(theirs);
        let error = open_tunnel(&mut ours, &Proxy::new("proxy", 3128), &endpoint).await.unwrap_err();
        assert_eq!(error.failure, ConnectFailure::ProxyLost);
        assert!(
            request(&Proxy::new("p", 1), &endpoint)
                .starts_with("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n")
        );
    }

    #[test]
    fn p9_debug_shows_no_password() {
        let user = Some(("user".into(), Secret::from("hunter2".to_owned())));
        let proxy = Proxy { user, ..Proxy::new("::1", 3128) };
        assert_eq!(format!("{proxy:?}"), "Proxy(http://[::1]:3128)");
    }
}
