//! The arguments of `skein cluster …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use skein_core::fleet::MemberId;

const INIT_HELP: &str = "Example:\n  \
    skein cluster init -c admin.toml --sender sender-1 --sender sender-2 --credentials-folder /etc/skein/credentials --dry-run\n\n\
    Run it with a configuration whose logins are the administrators' (broker.username, monitor.username at \
    monitor.management_url, ledger.username, coordinator.username). It makes what is missing, changes what differs, and \
    leaves what is right: run again it finds nothing to do. Users of senders that are not named stay as they are.\n\n\
    Each role gets a user of its own with no right that it does not need; docs/security.md lists them. Passwords are made \
    once, stand in files of mode 0600 in --credentials-folder, and are never printed.";

/// `skein cluster …`
#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Make what a cluster needs on RabbitMQ, PostgreSQL and ZooKeeper, with one narrow user for each role
    #[command(after_help = INIT_HELP)]
    Init(Init),
    /// Make the passwords of all users, one file each, and reach no service
    ///
    /// For Compose and Kubernetes, where a process finds its secrets before `skein cluster init` has run. Files that are there stay;
    /// init takes the passwords that it finds.
    ///
    /// Example: skein cluster passwords --sender sender-1 --sender sender-2 --credentials-folder secrets
    Passwords(Who),
    /// Log in as each role and try what it must not do: ends with 1 if anything of it succeeds
    ///
    /// It harms nothing, also where a right is too wide. Run it after `skein cluster init`, with the same arguments.
    ///
    /// Example: skein cluster probe -c admin.toml --sender sender-1 --credentials-folder /etc/skein/credentials
    Probe(Who),
}

/// `skein cluster init`
#[derive(Debug, Args)]
pub struct Init {
    /// Who there is.
    #[command(flatten)]
    pub who: Who,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Then let each role try what it must not do, as `skein cluster probe` does
    #[arg(long, conflicts_with = "dry_run")]
    pub probe: bool,
}

/// Who there is in a cluster.
#[derive(Debug, Clone, Args)]
pub struct Who {
    /// A sender's member id (its sender.member); one broker user each. Without it sender.member of the configuration
    #[arg(long = "sender", value_name = "MEMBER", value_parser = member)]
    pub senders: Vec<MemberId>,
    /// A backend that publishes by AMQP; one broker user each
    #[arg(long = "producer", value_name = "NAME", value_parser = name)]
    pub producers: Vec<String>,
    /// Folder of the passwords, one file for each user
    #[arg(long, value_name = "FOLDER")]
    pub credentials_folder: PathBuf,
    /// How the names of users begin; two clusters on one server need two
    #[arg(long, value_name = "NAME", default_value = "skein", value_parser = name)]
    pub user_prefix: String,
}

pub(super) fn member(text: &str) -> Result<MemberId, String> {
    MemberId::parse(text).map_err(|error| error.to_string())
}

/// The longest name, in bytes: PostgreSQL cuts names at 63, and a role and a prefix stand before it.
const NAME_BYTES_MAX: usize = 32;

pub(super) fn name(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_right = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
    if is_right { Ok(text.to_owned()) } else { Err("1 to 32 of a-z, 0-9 and -".to_owned()) }
}
