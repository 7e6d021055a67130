//! The arguments of `skein config live …`, and of every command that changes live settings.

use std::time::Duration;

use clap::{Args, Subcommand};

const LIVE_HELP: &str = "Examples:\n  \
    skein config live show\n  \
    skein config live set log.level=debug --reason 'looking into INC-7'\n  \
    skein config live set retry.credential=2s --expect 6 --reason 'APNs asked for it'\n  \
    skein config live set --unset log.level --reason 'INC-7 is closed'\n  \
    skein config live rollback --reason 'worse than before'\n\n\
    A live setting stands over files, environment and flags of every process, for as long as it is there. Only settings that \
    take effect while running can be live (`skein config show --defaults` marks them); of a credential its files are named, \
    nothing of it is stored.\n\
    It ends with 1 if a process refuses the new version or is not heard of within --wait, with 2 if it is refused here and \
    nothing is written, with 3 if ZooKeeper is away.";

/// `skein config live …`
#[derive(Debug, Subcommand)]
#[command(after_help = LIVE_HELP)]
pub enum Live {
    /// Show the live settings, who set them and why, and which process has them in force
    Show,
    /// Show what one version changes over another
    ///
    /// Example: skein config live diff 6 7
    Diff {
        /// The older version; without it, the one before the latest
        from: Option<u64>,
        /// The newer version; without it, the latest
        to: Option<u64>,
    },
    /// Change live settings: all of them at once, or none
    Set {
        /// The settings, as after --set
        #[arg(value_name = "KEY=VALUE", required_unless_present = "unset")]
        settings: Vec<String>,
        /// Take this one out: files, environment and flags hold again
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// What goes with every change.
        #[command(flatten)]
        change: Changing,
    },
    /// List the versions that are kept, and what operators decided of queues and senders, the newest first
    History,
    /// Put an earlier version in force again, as a new one
    Rollback {
        /// The version; without it, the one before the latest
        version: Option<u64>,
        /// What goes with every change.
        #[command(flatten)]
        change: Changing,
    },
}

/// What goes with every change of live settings.
#[derive(Debug, Clone, Args)]
pub struct Changing {
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// Who changes it; without it, user and host
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Only if this is the latest version
    #[arg(long, value_name = "VERSION")]
    pub expect: Option<u64>,
    /// Check it and say what would change; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The files of the pools that it changes, or of keys, are on other hosts and not on this one: the processes there alone look at them
    #[arg(long)]
    pub files_elsewhere: bool,
    /// How long to wait until every process has it in force or refuses it; 0 only writes
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::fleet::wait)]
    pub wait: Duration,
}

/// Reads why something is done: a few words, and not nothing.
pub(super) fn reason(text: &str) -> Result<String, String> {
    const BYTES_MAX: usize = 1024;
    match text.trim() {
        "" => Err("say in a few words why".to_owned()),
        long if long.len() > BYTES_MAX => Err(format!("at most {BYTES_MAX} bytes")),
        text => Ok(text.to_owned()),
    }
}
