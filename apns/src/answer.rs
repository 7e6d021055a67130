//! What became of one write.

use crate::reason::Reason;

/// The one answer that each accepted write ends in.
///
/// A refusal by APNs is a `Reply`: it is known what happened. Only `InDoubt` may become a copy when it is written
/// again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// APNs judged the notification.
    Reply {
        /// The HTTP status; 200 is accepted, which does not mean delivered.
        status: u16,
        /// Why it was refused, if the body says so.
        reason: Option<Reason>,
        /// With 410: when APNs found the token inactive, in milliseconds since the epoch.
        timestamp_ms: Option<i64>,
        /// The `apns-id` that APNs echoed.
        apns_id: Option<[u8; 16]>,
        /// The sandbox's key for the delivery log.
        apns_unique_id: Option<Box<str>>,
        /// Where and how it was found out.
        evidence: Evidence,
    },
    /// APNs certainly did not process it: it can be written again without risk of a copy.
    NotSent {
        /// How that is known.
        why: NotSent,
        /// Where and how it was found out.
        evidence: Evidence,
    },
    /// It was written, and nobody can know whether APNs processed it.
    InDoubt {
        /// What was lost.
        why: InDoubt,
        /// Where and how it was found out.
        evidence: Evidence,
    },
}

impl Answer {
    /// Where and how the answer was found out.
    pub fn evidence(&self) -> &Evidence {
        match self {
            Answer::Reply { evidence, .. }
            | Answer::NotSent { evidence, .. }
            | Answer::InDoubt { evidence, .. } => evidence,
        }
    }

    /// `reply`, or the label of why there is none.
    pub fn label(&self) -> &'static str {
        match self {
            Answer::Reply { .. } => "reply",
            Answer::NotSent { why, .. } => why.label(),
            Answer::InDoubt { why, .. } => why.label(),
        }
    }
}

/// What an explanation of an answer can point at. No secret, no token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The client's running number of the connection; 0 if none was reached.
    pub connection: u64,
    /// The HTTP/2 stream; 0 if none was opened.
    pub stream: u32,
    /// The last-stream-id of the connection's GOAWAY, if one had come.
    pub last_stream_id: Option<u32>,
    /// Bytes that the connection had handed to TLS by then.
    pub bytes_flushed: u64,
    /// Microseconds from the write's acceptance by the client to this answer.
    pub duration_us: u64,
}

/// How it is known that APNs did not process a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotSent {
    /// RST_STREAM with REFUSED_STREAM (RFC 9113 §8.7).
    Refused,
    /// The stream is above GOAWAY's last-stream-id (RFC 9113 §6.8).
    AboveLastStream,
    /// The connection ended before the request's last byte left this process.
    NeverWritten,
    /// The server ended the connection by refusing our certificate in the TLS handshake.
    CertificateRefused,
    /// No connection took it within the client's bound.
    NoConnection(ConnectFailure),
    /// The client was drained or dropped first.
    Closed,
}

impl NotSent {
    /// For metrics, logs and columns.
    pub fn label(self) -> &'static str {
        match self {
            NotSent::Refused => "refused_stream",
            NotSent::AboveLastStream => "above_last_stream",
            NotSent::NeverWritten => "never_written",
            NotSent::CertificateRefused => "certificate_refused",
            NotSent::NoConnection(_) => "no_connection",
            NotSent::Closed => "closed_before_write",
        }
    }
}

/// What was lost between a write and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InDoubt {
    /// The connection was reset or closed.
    ConnectionLost,
    /// The tunnel through the proxy ended without a word of APNs: by the proxy, or by what is behind it.
    TunnelLost,
    /// The connection went silent and a PING found no answer.
    Silent,
    /// The request's deadline passed.
    Deadline,
    /// The server reset the stream with this code, which does not say that it did nothing.
    StreamReset(u32),
    /// The server broke the protocol; the connection was given up.
    ProtocolFault,
    /// The client was drained or dropped while it waited.
    Closed,
}

impl InDoubt {
    /// For metrics, logs and columns.
    pub fn label(self) -> &'static str {
        match self {
            InDoubt::ConnectionLost => "connection_lost",
            InDoubt::TunnelLost => "tunnel_lost",
            InDoubt::Silent => "silent",
            InDoubt::Deadline => "deadline",
            InDoubt::StreamReset(_) => "stream_reset",
            InDoubt::ProtocolFault => "protocol_fault",
            InDoubt::Closed => "closed_after_write",
        }
    }
}

/// Why a connection could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectFailure {
    /// The name can't be resolved.
    Dns,
    /// The address refuses connections on that port.
    Refused,
    /// No route, or the network is down.
    Unreachable,
    /// Connect or handshake took too long.
    Timeout,
    /// The server's certificate does not lead to a trusted root, is expired, or is for another name.
    TlsChain,
    /// The TLS handshake failed otherwise.
    TlsHandshake,
    /// The server refused our certificate.
    ClientCertificate,
    /// The proxy can't be reached, TLS to it fails, or it gives no answer.
    ProxyUnreachable,
    /// The proxy wants a user, or another user or password (407).
    ProxyAuthentication,
    /// The proxy refuses the tunnel, or does not speak HTTP CONNECT.
    ProxyRefused,
    /// The tunnel ended before TLS with APNs stood: by the proxy, or by what is behind it.
    ProxyLost,
    /// The server does not speak HTTP/2 as APNs does.
    Protocol,
    /// Any other error of the operating system.
    Other,
    /// No attempt has failed: all connections were busy.
    Busy,
    /// No attempt has failed since APNs last spoke on a connection, but none stayed in service: it was refused or ended.
    NotServing,
}

impl ConnectFailure {
    /// All of them, in the order of [`ConnectFailure::index`].
    pub const ALL: [ConnectFailure; 15] = [
        ConnectFailure::Dns,
        ConnectFailure::Refused,
        ConnectFailure::Unreachable,
        ConnectFailure::Timeout,
        ConnectFailure::TlsChain,
        ConnectFailure::TlsHandshake,
        ConnectFailure::ClientCertificate,
        ConnectFailure::ProxyUnreachable,
        ConnectFailure::ProxyAuthentication,
        ConnectFailure::ProxyRefused,
        ConnectFailure::ProxyLost,
        ConnectFailure::Protocol,
        ConnectFailure::Other,
        ConnectFailure::Busy,
        ConnectFailure::NotServing,
    ];

    /// Its place in [`ConnectFailure::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// For metrics, logs and columns.
    pub fn label(self) -> &'static str {
        match self {
            ConnectFailure::Dns => "dns",
            ConnectFailure::Refused => "refused",
            ConnectFailure::Unreachable => "unreachable",
            ConnectFailure::Timeout => "timeout",
            ConnectFailure::TlsChain => "tls_chain",
            ConnectFailure::TlsHandshake => "tls_handshake",
            ConnectFailure::ClientCertificate => "client_certificate",
            ConnectFailure::ProxyUnreachable => "proxy_unreachable",
            ConnectFailure::ProxyAuthentication => "proxy_authentication",
            ConnectFailure::ProxyRefused => "proxy_refused",
            ConnectFailure::ProxyLost => "proxy_lost",
            ConnectFailure::Protocol => "protocol",
            ConnectFailure::Other => "other",
            ConnectFailure::Busy => "busy",
            ConnectFailure::NotServing => "not_serving",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connect_failure_is_at_its_index() {
        for (index, failure) in ConnectFailure::ALL.into_iter().enumerate() {
            assert_eq!(failure.index(), index);
        }
    }
}
