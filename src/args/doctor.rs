//! The arguments of `skein doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use skein_config::Files;
use skein_core::fleet::MemberId;

use super::cluster::{member, name};

const HELP: &str = "Examples:\n  \
    skein doctor -c admin.toml --sender sender-1 --sender sender-2 --credentials-folder /etc/skein/credentials\n  \
    skein doctor -c skein.toml --role sender\n\n\
    With --credentials-folder it looks as the administrator, with the configuration and the arguments of `skein cluster init`: \
    everything that must be there is compared with what is, and each role's login is tried. Without it, it looks as one role, by that \
    role's own configuration, on the host where the role runs.\n\n\
    It changes nothing and pushes nothing. A service that is away hides nothing of the others. It ends with 0 if nothing is wrong, 1 if \
    something is.";

/// `skein doctor`
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Doctor {
    /// Folder of the passwords that `skein cluster init` has made: looks as the administrator
    #[arg(long, value_name = "FOLDER", conflicts_with = "role")]
    pub credentials_folder: Option<PathBuf>,
    /// Looks as this role
    #[arg(long, value_name = "ROLE", default_value = "sender")]
    pub role: RoleName,
    /// A sender's member id; without it sender.member of the configuration
    #[arg(long = "sender", value_name = "MEMBER", value_parser = member)]
    pub senders: Vec<MemberId>,
    /// A backend that publishes by AMQP
    #[arg(long = "producer", value_name = "NAME", value_parser = name)]
    pub producers: Vec<String>,
    /// How the names of users begin
    #[arg(long, value_name = "NAME", default_value = "skein", value_parser = name)]
    pub user_prefix: String,
}

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// `skein run sender`
    Sender,
    /// `skein run monitor`
    Monitor,
    /// `skein run gateway`
    Gateway,
    /// A backend that publishes by AMQP
    Producer,
    /// `skein queue`, `skein sender`
    Operator,
    /// Who looks notifications up
    Support,
}

impl RoleName {
    /// Which files it reads.
    pub const fn files(self) -> Files {
        match self {
            Self::Sender => Files::SENDER,
            Self::Gateway => Files::GATEWAY,
            Self::Monitor | Self::Producer | Self::Operator | Self::Support => Files::NONE,
        }
    }
}
