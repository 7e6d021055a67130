//! The address of a service: scheme, host, port, path; a password in it is kept apart and never printed.

use crate::secret::Secret;
use std::fmt;
use std::fmt::Write as _;

/// An address such as `amqps://rabbit-1:5671/vhost` or `postgres://ledger:5432/skein?…`.
///
/// `Debug` and `Display` show no user information's password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    /// Scheme in lower case, without `://`.
    pub scheme: String,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port, if the address names one.
    pub port: Option<u16>,
    /// Path with its leading slash, or empty.
    pub path: String,
    /// What follows the `?`, or empty.
    pub query: String,
    /// User in the address, percent-decoded.
    pub username: Option<String>,
    /// Password in the address, percent-decoded; only an address from the environment may have one.
    pub password: Option<Secret>,
}

impl ServiceUrl {
    /// Reads `scheme://[user[:password]@]host[:port][/path][?query]`; the error says what is wrong, without the text.
    ///
    /// # Errors
    /// The first thing that is not as above, in words that never repeat a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("is no address: scheme:// is missing")?;
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !scheme_ok {
            return Err("is no address: its scheme has characters a scheme cannot have");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '#') {
            return Err("is no address: it has a space, a control character or a '#'");
        }
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (user_info, host_port) =
            authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        let (username, password) =
            match user_info.map(|u| u.split_once(':').map_or((u, None), |(n, p)| (n, Some(p)))) {
                None => (None, None),
                Some((name, password)) => {
                    (Some(decode(name)?), password.map(decode).transpose()?.map(Secret::new))
                }
            };
        let (host, port) =
            split_host_port(host_port).ok_or("is no address: its host or port cannot be read")?;
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            host,
            port,
            path: path.to_owned(),
            query: query.to_owned(),
            username,
            password,
        })
    }

    /// Whether a password is inside, as user information or as a parameter of the query.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.query.split('&').any(is_password_parameter)
    }

    /// The whole address for a driver that takes one string, with this user and password unless it has its own.
    ///
    /// An empty `path` keeps the address's own path.
    #[must_use]
    pub fn with_login(&self, username: Option<&str>, password: Option<&Secret>, path: &str) -> Secret {
        let mut text = format!("{}://", self.scheme);
        if let Some(name) = self.username.as_deref().or(username) {
            text.push_str(&encode(name));
            if let Some(password) = self.password.as_ref().or(password) {
                text.push(':');
                text.push_str(&encode(password.expose()));
            }
            text.push('@');
        }
        self.push_address(&mut text);
        text.push_str(if path.is_empty() { &self.path } else { path });
        if !self.query.is_empty() {
            text.push('?');
            text.push_str(&self.query);
        }
        Secret::new(text)
    }

    fn push_address(&self, text: &mut String) {
        if self.host.contains(':') {
            text.push_str(&format!("[{}]", self.host));
        } else {
            text.push_str(&self.host);
        }
        if let Some(port) = self.port {
            text.push_str(&format!(":{port}"));
        }
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}://", self.scheme);
        if let Some(name) = &self.username {
            text.push_str(&encode(name));
            text.push_str(if self.password.is_some() { ":…@" } else { "@" });
        }
        self.push_address(&mut text);
        text.push_str(&self.path);
        for (n, parameter) in self.query.split('&').filter(|p| !p.is_empty()).enumerate() {
            text.push(if n == 0 { '?' } else { '&' });
            text.push_str(if is_password_parameter(parameter) { "password=…" } else { parameter });
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for an empty host or a port outside 1..=65535.
pub(crate) fn split_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p)));
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            if host.is_empty() || !host.chars().all(plain) {
                return None;
            }
            (host, port)
        }
    };
    let port = match port {
        None => None,
        Some(digits) => Some(digits.parse::<u16>().ok().filter(|port| *port > 0)?),
    };
    Some((host.to_owned(), port))
}

fn is_password_parameter(parameter: &str) -> bool {
    parameter.split('=').next().is_some_and(|name| name.to_ascii_lowercase().contains("password"))
}

fn decode(text: &str) -> Result<String, &'static str> {
    const WRONG: &str =
        "is no address: a '%' in its user or password is not followed by two hex digits of UTF-8";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digit = |n: usize| after.get(n).and_then(|d| (*d as char).to_digit(16)).ok_or(WRONG);
        bytes.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| WRONG)
}

pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_part() {
        let url = ServiceUrl::parse("amqps://a%40b:p%3Aw@[::1]:5671/%2F?x=1").expect("an address");
        assert_eq!((url.scheme.as_str(), url.host.as_str(), url.port), ("amqps", "::1", Some(5671)));
        assert_eq!((url.path.as_str(), url.query.as_str()), ("/%2F", "x=1"));
        assert_eq!(url.username.as_deref(), Some("a@b"));
        assert_eq!(url.password.as_ref().map(Secret::expose), Some("p:w"));
        assert_eq!(url.with_login(None, None, "").expose(), "amqps://a%40b:p%3Aw@[::1]:5671/%2F?x=1");
    }

    /// P9: secrets stay inside.
    #[test]
    fn never_prints_a_password() {
        for text in ["postgres://u:hunter2@h/db", "postgres://h/db?a=b&password=hunter2&sslpassword=hunter2"]
        {
            let url = ServiceUrl::parse(text).expect("an address");
            assert!(url.has_password());
            assert!(!format!("{url} {url:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn puts_a_login_in() {
        let url = ServiceUrl::parse("amqp://rabbit:5672").expect("an address");
        let secret = Secret::new("p/w".into());
        assert_eq!(
            url.with_login(Some("me"), Some(&secret), "/%2F").expose(),
            "amqp://me:p%2Fw@rabbit:5672/%2F"
        );
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            "host:1",
            "amqp://",
            "amqp://h:0",
            "amqp://h:x",
            "amqp://a b",
            "amqp://[::1",
            "1x://h",
            "a://u%4@h",
        ] {
            assert!(ServiceUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
