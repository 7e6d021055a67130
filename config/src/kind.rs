//! The types a setting can have, as `default.toml` names them, and the check of each.

use crate::byte_size::ByteSize;
use crate::duration::{format_duration, parse_duration};
use crate::service_url::{ServiceUrl, split_host_port};
use crate::value::{Raw, Value};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Most items in one list setting; every queue of a pool fits.
const LIST_ITEMS_MAX: usize = 1024;
/// Longest text setting in bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// A type of setting, with its range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Count {
        min: u64,
        max: u64,
    },
    Ratio {
        min: f64,
        max: f64,
    },
    Duration {
        min: Duration,
        max: Duration,
    },
    Size {
        min: ByteSize,
        max: ByteSize,
    },
    OneOf(Vec<String>),
    OneOfNumber(Vec<u64>),
    Text,
    Word(Word),
    Url(Vec<String>),
    /// A path that need not exist yet.
    Path,
    /// A folder, made if it is missing; what it is in must be there.
    Folder,
    /// A file that must exist and be readable.
    File,
    /// A file with a secret that another room reads; its mode is checked.
    PrivateFile,
    /// A file of API keys; its mode and its lines are checked.
    ApiKeysFile,
    /// A file whose content becomes the setting without `_file`.
    SecretFile {
        hex: bool,
    },
    /// The name of a variable whose content becomes the setting without `_env`.
    SecretEnv {
        hex: bool,
    },
    /// The secret itself: only the environment may have it.
    Secret {
        hex: bool,
    },
    List(Box<Kind>),
}

/// A text of a certain shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Listen,
    Endpoint,
    Topic,
    AppleId,
    Member,
    Queue,
    ZookeeperPath,
}

impl Word {
    const ALL: [(&'static str, Self, &'static str); 7] = [
        ("listen", Self::Listen, "an address and port, such as \"127.0.0.1:9180\" or \"[::1]:9180\""),
        ("endpoint", Self::Endpoint, "a host or host:port, such as \"127.0.0.1:2197\""),
        ("topic", Self::Topic, "a topic of letters, digits, '.' and '-', such as \"com.example.im\""),
        ("apple-id", Self::AppleId, "ten capital letters and digits, such as \"ABCDE12345\""),
        ("member", Self::Member, "1 to 64 letters, digits, '.', '_' and '-', such as \"sender-1\""),
        ("queue", Self::Queue, "<pool>.q<number>, such as \"enterprise.q0\""),
        (
            "zookeeper-path",
            Self::ZookeeperPath,
            "'/' and names of letters, digits, '_' and '-', such as \"/skein\" or \"/teams/skein\"",
        ),
    ];

    fn accepts(self, text: &str) -> bool {
        let all = |more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        match self {
            Self::Listen => text.parse::<SocketAddr>().is_ok(),
            Self::Endpoint => split_host_port(text).is_some(),
            Self::Topic => (1..=255).contains(&text.len()) && all(".-"),
            Self::AppleId => {
                text.len() == 10 && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
            }
            Self::Member => (1..=64).contains(&text.len()) && all("._-"),
            Self::Queue => text.rsplit_once(".q").is_some_and(|(pool, number)| {
                is_pool_name(pool)
                    && number.parse::<u16>().is_ok_and(|n| n < 1024)
                    && (number == "0" || !number.starts_with(['0', '+']))
            }),
            Self::ZookeeperPath => {
                let named = |name: &str| {
                    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
                };
                text.len() <= 255
                    && text.strip_prefix('/').is_some_and(|names| names.split('/').all(named))
                    && !text.starts_with("/zookeeper")
            }
        }
    }
}

/// Whether a pool may be called so: `[a-z][a-z0-9-]{0,31}`.
pub(crate) fn is_pool_name(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

impl Kind {
    /// Reads a type as `default.toml` names it, such as `list duration 100ms..25m`; `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
        let options = || rest.split('|').map(str::to_owned).collect::<Vec<_>>();
        let range = rest.split_once("..");
        Some(match name {
            "bool" => Self::Bool,
            "text" => Self::Text,
            "path" => Self::Path,
            "folder" => Self::Folder,
            "file" => Self::File,
            "private-file" => Self::PrivateFile,
            "api-keys-file" => Self::ApiKeysFile,
            "secret-file" => Self::SecretFile { hex: false },
            "secret-env" => Self::SecretEnv { hex: false },
            "key-file" => Self::SecretFile { hex: true },
            "key-env" => Self::SecretEnv { hex: true },
            "one-of" => Self::OneOf(options()),
            "url" => Self::Url(options()),
            "one-of-number" => {
                Self::OneOfNumber(options().iter().map(|n| n.parse().ok()).collect::<Option<_>>()?)
            }
            "count" => Self::Count { min: range?.0.parse().ok()?, max: range?.1.parse().ok()? },
            "ratio" => Self::Ratio { min: range?.0.parse().ok()?, max: range?.1.parse().ok()? },
            "duration" => Self::Duration { min: parse_duration(range?.0)?, max: parse_duration(range?.1)? },
            "size" => Self::Size { min: ByteSize::parse(range?.0)?, max: ByteSize::parse(range?.1)? },
            "list" => Self::List(Box::new(Self::parse(rest)?)),
            word => Self::Word(Word::ALL.iter().find(|(label, ..)| *label == word)?.1),
        })
    }

    /// Checks a value as far as that needs no file; the error says what is wrong, without repeating a secret.
    pub(crate) fn check(&self, raw: &Raw) -> Result<Value, String> {
        match (self, raw) {
            (Self::List(item), _) => check_list(item, raw),
            (Self::Bool, Raw::Bool(bool)) => Ok(Value::Bool(*bool)),
            (Self::Bool, Raw::Word(word)) => {
                word.parse().map(Value::Bool).map_err(|_| format!("{word:?} is neither true nor false"))
            }
            (Self::Count { .. } | Self::OneOfNumber(_), Raw::Word(word)) => match word.parse() {
                Ok(number) => self.check(&Raw::Integer(number)),
                Err(_) => Err(format!("{word:?} is no whole number")),
            },
            (Self::Count { min, max }, Raw::Integer(number)) => {
                let count = u64::try_from(*number).unwrap_or(0);
                in_range(*number >= 0 && count >= *min, count <= *max, number, min, max)?;
                Ok(Value::Count(count))
            }
            (Self::OneOfNumber(options), Raw::Integer(number)) => u64::try_from(*number)
                .ok()
                .filter(|count| options.contains(count))
                .map(Value::Count)
                .ok_or_else(|| format!("{number} is not among them")),
            (Self::Ratio { .. }, Raw::Word(word)) => match word.parse() {
                Ok(number) => self.check(&Raw::Float(number)),
                Err(_) => Err(format!("{word:?} is no number")),
            },
            (Self::Ratio { .. }, Raw::Integer(number)) => self.check(&Raw::Float(*number as f64)),
            (Self::Ratio { min, max }, Raw::Float(number)) => {
                in_range(number >= min, number <= max, number, min, max)?;
                Ok(Value::Ratio(*number))
            }
            (_, Raw::Text(text) | Raw::Word(text)) => self.check_text(text),
            (_, raw) => Err(format!("is {}", raw_name(raw))),
        }
    }

    fn check_text(&self, text: &str) -> Result<Value, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        let is_secret = matches!(self, Self::Secret { .. });
        if text.len() > TEXT_BYTES_MAX || (!is_secret && text.contains(char::is_control)) {
            return Err(format!("is longer than {TEXT_BYTES_MAX} bytes or has a control character in it"));
        }
        match self {
            Self::Duration { min, max } => {
                let duration = parse_duration(text).ok_or_else(|| format!("{text:?} is no duration"))?;
                let [low, high] = [format_duration(*min), format_duration(*max)];
                in_range(duration >= *min, duration <= *max, text, &low, &high)?;
                Ok(Value::Duration(duration))
            }
            Self::Size { min, max } => {
                let size = ByteSize::parse(text).ok_or_else(|| format!("{text:?} is no size"))?;
                in_range(size >= *min, size <= *max, text, min, max)?;
                Ok(Value::Size(size))
            }
            Self::OneOf(options) if options.iter().any(|o| o == text) => Ok(Value::Text(text.to_owned())),
            Self::OneOf(options) => {
                Err(match crate::nearest::nearest(text, options.iter().map(String::as_str)) {
                    Some(near) => format!("{text:?} is not among them; did you mean {near:?}?"),
                    None => format!("{text:?} is not among them"),
                })
            }
            Self::Url(schemes) => {
                let url = ServiceUrl::parse(text)?;
                if !schemes.contains(&url.scheme) {
                    return Err(format!("has the scheme {:?}", url.scheme));
                }
                Ok(Value::Url(url))
            }
            Self::Word(word) if !word.accepts(text) => Err(format!("{text:?} is not of that shape")),
            Self::Text | Self::Word(_) => Ok(Value::Text(text.to_owned())),
            Self::SecretEnv { .. } => {
                let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                // What stands here by mistake may be the secret itself: it is not repeated.
                let wrong = || "is not the name of an environment variable".to_owned();
                plain.then(|| Value::Text(text.to_owned())).ok_or_else(wrong)
            }
            Self::Path
            | Self::Folder
            | Self::File
            | Self::PrivateFile
            | Self::ApiKeysFile
            | Self::SecretFile { .. } => Ok(Value::Path(text.into())),
            Self::Secret { hex } => {
                let secret = crate::secret::Secret::new(text.trim_end_matches(['\r', '\n']).to_owned());
                if *hex && crate::secret::Key32::from_hex(secret.expose()).is_none() {
                    return Err("is not a key of 64 hex digits".to_owned());
                }
                Ok(Value::Secret(secret))
            }
            Self::Bool | Self::Count { .. } | Self::OneOfNumber(_) | Self::Ratio { .. } | Self::List(_) => {
                Err(format!("{text:?} is text"))
            }
        }
    }

    /// The unit of the values, or empty.
    pub(crate) fn unit(&self) -> &'static str {
        match self {
            Self::Duration { .. } => "duration",
            Self::Size { .. } => "bytes",
            Self::Ratio { .. } => "share",
            Self::Count { .. } => "count",
            Self::List(item) => item.unit(),
            _ => "",
        }
    }
}

/// What would be right, in the words of a remedy.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |options: &[String]| options.iter().map(|o| format!("{o:?}")).collect::<Vec<_>>().join(" or ");
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Ratio { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Duration { min, max } => {
                write!(f, "a duration from {:?} to {:?}", format_duration(*min), format_duration(*max))
            }
            Self::Size { min, max } => {
                write!(f, "a size from \"{min}\" to \"{max}\", units B, KiB, MiB, GiB, TiB")
            }
            Self::OneOf(options) => f.write_str(&quoted(options)),
            Self::OneOfNumber(options) => {
                f.write_str(&options.iter().map(u64::to_string).collect::<Vec<_>>().join(" or "))
            }
            Self::Text => f.write_str("text"),
            Self::Word(word) => {
                f.write_str(Word::ALL.iter().find(|(_, w, _)| w == word).map_or("text", |(.., shape)| shape))
            }
            Self::Url(schemes) => {
                let forms: Vec<_> = schemes.iter().map(|s| format!("{s}://host[:port]")).collect();
                f.write_str(&forms.join(" or "))
            }
            Self::Path => f.write_str("a path"),
            Self::Folder => f.write_str("a folder"),
            Self::File => f.write_str("a file that exists and can be read"),
            Self::PrivateFile => f.write_str("a file that exists, mode 0600 or 0400"),
            Self::ApiKeysFile => f.write_str("a file of lines \"name = <64 hex digits>\", mode 0600 or 0400"),
            Self::SecretFile { hex: false } => f.write_str("a file with the secret alone, mode 0600 or 0400"),
            Self::SecretFile { hex: true } => f.write_str("a file with 64 hex digits, mode 0600 or 0400"),
            Self::SecretEnv { .. } => f.write_str("the name of an environment variable"),
            Self::Secret { hex: false } => f.write_str("a secret"),
            Self::Secret { hex: true } => f.write_str("a key of 64 hex digits"),
            Self::List(item) => write!(f, "a list, each item {item}"),
        }
    }
}

fn check_list(item: &Kind, raw: &Raw) -> Result<Value, String> {
    let words: Vec<Raw>;
    let items = match raw {
        Raw::List(items) => items,
        Raw::Word(text) => {
            words = text.split(',').map(|w| Raw::Word(w.trim().to_owned())).collect();
            &words
        }
        _ => return Err(format!("is {}, not a list", raw_name(raw))),
    };
    if items.is_empty() || items.len() > LIST_ITEMS_MAX {
        return Err(format!("has {} items, not 1 to {LIST_ITEMS_MAX}", items.len()));
    }
    let mut values = Vec::with_capacity(items.len());
    for (n, raw) in items.iter().enumerate() {
        values.push(item.check(raw).map_err(|what| format!("item {}: {what}", n + 1))?);
    }
    Ok(Value::List(values))
}

fn in_range<N: fmt::Display + ?Sized, B: fmt::Display>(
    low: bool,
    high: bool,
    number: &N,
    min: &B,
    max: &B,
) -> Result<(), String> {
    match (low, high) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("{number} is less than {min}")),
        (_, false) => Err(format!("{number} is more than {max}")),
    }
}

fn raw_name(raw: &Raw) -> &'static str {
    match raw {
        Raw::Text(_) | Raw::Word(_) => "text",
        Raw::Integer(_) => "a number without quotes and unit",
        Raw::Float(_) => "a number with a point",
        Raw::Bool(_) => "true or false",
        Raw::List(_) => "a list",
        Raw::Broken => "no TOML",
        Raw::Other(name) => name,
    }
}
