//! Every setting of Skein: type, default, check.
//!
//! `default.toml` is compiled in and is the documentation and the truth at once: a setting's default, type, range,
//! description, and whether a change needs a restart all stand there and nowhere else. Over it come files, then the
//! environment (`SKEIN_…`), then flags, then what a fleet was told while it runs ([`Live`]). [`Config::load`] returns either a configuration in which every value is valid,
//! with where each came from, or all faults of the run at once, each with its place, key and remedy.
//!
//! Secrets come from files of their own or from the environment, and nothing here prints one.
//!
//! ```
//! use skein_config::{Config, Sources};
//! let sources = Sources { flags: vec!["sender.lease=650ms".into()], ..Sources::default() };
//! let loaded = Config::load(&sources)?;
//! assert_eq!(loaded.config.sender.lease.as_millis(), 650);
//! assert_eq!(loaded.origin("sender.lease").unwrap().to_string(), "flag --set (1)");
//! # Ok::<(), skein_config::Faults>(())
//! ```

mod addresses;
mod api_keys;
mod byte_size;
mod credential_files;
mod duration;
mod fault;
mod file_layer;
mod kind;
mod layer;
mod live_layer;
mod load;
mod log;
mod monitor;
mod nearest;
mod origin;
mod pool;
mod private_file;
mod reference;
mod rules;
mod schema;
mod secret;
mod secret_sources;
mod service_url;
mod settings;
mod show;
mod sources;
mod value;
mod values;
mod word_layer;

pub use api_keys::ApiKey;
pub use byte_size::ByteSize;
pub use credential_files::CredentialBytes;
pub use duration::{format_duration, parse_duration};
pub use fault::{Fault, Faults, render_faults};
pub use live_layer::{Files, Live};
pub use load::{Change, Loaded};
pub use log::{Log, LogFormat, LogLevel, Traces};
pub use monitor::{Monitor, Policy};
pub use origin::Origin;
pub use pool::{Credential, CredentialKind, Environment, Pool, Proxy};
pub use reference::reference_markdown;
pub use schema::{DEFAULT_TOML, Key, Reload, key_table};
pub use secret::{Key32, Secret};
pub use service_url::ServiceUrl;
pub use settings::{
    Broker, ClientTls, Config, Coordinator, Embedded, Engine, Gateway, GatewayTls, Http, Ledger, Ownership,
    OwnershipMode, Retry, Sender, ServiceTls, Synchronous, TlsMode,
};
pub use show::{Shown, show, shown};
pub use sources::Sources;
pub use word_layer::environment_name;
