//! `skein credential …`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `skein credential …`
#[derive(Debug, Subcommand)]
pub enum Credential {
    /// Show what a credential is, whether it fits its pool, and how long it lasts
    Check(Check),
    /// List the pools' credentials; with --url those that a running process has in place
    ///
    /// Example: skein credential list -c skein.toml
    List(List),
    /// Make a running sender look at a pool's credential now: check it, try it, put it in place
    Rotate(Rotate),
}

/// `skein credential check`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    skein credential check -c skein.toml\n  \
    skein credential check enterprise --connect\n  \
    skein credential check --file push.p12 --password-file push.password\n  \
    skein credential check --file AuthKey_ABCDE12345.p8 --key-id ABCDE12345 --team-id TEAM123456\n  \
    skein credential check enterprise --file new.p12 --password-file new.password --connect\n\n\
    Nothing is pushed. It ends with 1 if a credential can't be used for its pool, 3 if APNs can't be reached.")]
pub struct Check {
    /// The pool it is for; without it, and without --file, every pool's
    pub pool: Option<String>,
    /// This file in place of the pool's: .p12, PEM or .p8
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// With --file: the private key, PEM, if it is not in the same file
    #[arg(long, value_name = "FILE", requires = "file")]
    pub key_file: Option<PathBuf>,
    /// With --file: file with the .p12's password
    #[arg(long, value_name = "FILE", requires = "file")]
    pub password_file: Option<PathBuf>,
    /// With a .p8 file: the key's id
    #[arg(long, requires_all = ["file", "team_id"])]
    pub key_id: Option<String>,
    /// With a .p8 file: the team's id
    #[arg(long, requires_all = ["file", "key_id"])]
    pub team_id: Option<String>,
    /// Connect to APNs with it, and push nothing; needs a pool for the way there
    #[arg(long)]
    pub connect: bool,
}

/// `skein credential list`
#[derive(Debug, Args)]
pub struct List {
    /// The pages of a running sender or standalone, such as http://127.0.0.1:9180; without it, the files are read
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// What every sender of the fleet has in place
    #[arg(long, conflicts_with = "url")]
    pub fleet: bool,
}

/// `skein credential rotate`
#[derive(Debug, Args)]
// Only what the whole fleet is told needs a reason: clap makes no argument of an absent group optional by itself.
#[command(mut_arg("reason", |reason| reason.required(false)))]
#[command(after_help = "Examples:\n  \
    skein credential rotate enterprise -c skein.toml\n  \
    skein credential rotate enterprise --url http://127.0.0.1:9180 --json\n  \
    skein credential rotate enterprise --to key_file=/etc/skein/AuthKey_XYZ.p8 --to key_id=XYZ1234567 --reason 'yearly'\n  \
    skein credential rotate enterprise --back --reason 'the new one is for the sandbox'\n\n\
    Without --to, the files are those of the running process' configuration; SIGHUP makes it read the configuration itself again.\n\
    With --to or --back the whole fleet is told, as by `skein config live set pools.<pool>.credential.…`: each sender loads, \
    checks and tries the new credential, puts it in place, and lets the old one's connections end.\n\
    It ends with 1 if the new credential is refused (the old one stays), 3 if the process or APNs can't be reached.")]
pub struct Rotate {
    /// The pool
    pub pool: String,
    /// The pages of the running sender, on this machine; without it, http.listen of the configuration
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// On every sender of the fleet: a setting of the new credential, such as key_file=/etc/skein/new.p8
    #[arg(long = "to", value_name = "NAME=VALUE", conflicts_with = "url", requires = "reason")]
    pub to: Vec<String>,
    /// On every sender of the fleet: the credential that the live settings named before this one
    #[arg(long, conflicts_with_all = ["url", "to"], requires = "reason")]
    pub back: bool,
    /// With --to or --back: what goes with every change of live settings.
    #[command(flatten)]
    pub change: Option<super::Changing>,
}
