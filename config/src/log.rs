//! What is told to those who run it: the log, and where traces go.

use crate::service_url::ServiceUrl;
use crate::values::{choice, section};
use std::path::PathBuf;

section! {
    /// `[log]`.
    Log {
        /// Least important level written.
        level: LogLevel,
        /// Form of a line.
        format: LogFormat,
    }
}

choice! {
    /// How important a line is.
    LogLevel {
        /// A person must look.
        Error = "error",
        /// Skein carried on.
        Warn = "warn",
        /// A state changed.
        Info = "info",
        /// For finding a fault.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

choice! {
    /// Form of a log line.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// `[traces]`.
    Traces {
        /// An OTLP collector; without it no spans are made.
        endpoint: Option<ServiceUrl>,
        /// What signs its certificate.
        ca_file: Option<PathBuf>,
    }
}
