//! `skein channel …`

use clap::{Args, Subcommand, ValueEnum};

/// `skein channel …`
#[derive(Debug, Subcommand)]
pub enum Channel {
    /// Make a channel and print its id
    Create(Create),
    /// Show what a channel is
    ///
    /// Example: skein channel read --pool enterprise --bundle-id com.example.im dHN0LXNyY2gtY2hubA==
    Read(One),
    /// Delete a channel for good
    ///
    /// Example: skein channel delete --pool enterprise --bundle-id com.example.im dHN0LXNyY2gtY2hubA==
    Delete(One),
    /// List the channels of an app
    ///
    /// Example: skein channel list --pool enterprise --bundle-id com.example.im
    List(App),
    /// Publish to everybody who listens to a channel
    Publish(Publish),
}

/// Whose channels.
#[derive(Debug, Args)]
pub struct App {
    /// The pool whose credential and environment are used
    #[arg(long, short)]
    pub pool: String,
    /// The app's bundle id; without it, the pool's topic, if it has one only
    #[arg(long, value_name = "ID")]
    pub bundle_id: Option<String>,
}

/// `skein channel create`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein channel create --pool enterprise --bundle-id com.example.im\n  \
    skein channel create --pool enterprise --storage most-recent --json\n\n\
    An app has at most 10,000 channels in each environment. What is stored can't be changed later.")]
pub struct Create {
    /// Whose channel.
    #[command(flatten)]
    pub app: App,
    /// What APNs keeps for devices that are offline
    #[arg(long, value_enum, default_value_t = Storage::None)]
    pub storage: Storage,
}

/// What APNs keeps of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Storage {
    /// Nothing; allows more broadcasts
    None,
    /// The latest broadcast, for at most 8 hours
    MostRecent,
}

/// `skein channel read|delete`
#[derive(Debug, Args)]
pub struct One {
    /// Whose channel.
    #[command(flatten)]
    pub app: App,
    /// The channel's id, as `create` printed it
    #[arg(allow_hyphen_values = true)]
    pub channel: String,
}

/// `skein channel publish`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein channel publish --pool enterprise CHANNEL --payload '{\"aps\":{\"timestamp\":1764000000,\"event\":\"update\",\"content-state\":{\"score\":1}}}'\n  \
    skein channel publish --pool enterprise CHANNEL --payload @update.json --expires-at 2026-11-21T12:00:00Z --priority 10\n\n\
    A broadcast updates or ends Live Activities; it can't start one. At most 5,120 bytes.")]
pub struct Publish {
    /// Whose channel.
    #[command(flatten)]
    pub app: App,
    /// The channel's id, as `create` printed it
    #[arg(allow_hyphen_values = true)]
    pub channel: String,
    /// The whole payload as JSON; @FILE reads it from a file
    #[arg(long, value_name = "JSON")]
    pub payload: String,
    /// An RFC 3339 time, or 0 for one attempt; a channel without storage takes 0 only
    #[arg(long, value_name = "TIME", default_value = "0")]
    pub expires_at: String,
    /// 10 or 5
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(5..=10))]
    pub priority: u8,
}
