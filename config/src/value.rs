//! A checked value, and what Rust type it becomes.

use crate::api_keys::ApiKey;
use crate::byte_size::ByteSize;
use crate::duration::format_duration;
use crate::secret::{Key32, Secret};
use crate::service_url::ServiceUrl;
use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

/// What stands in a layer before its type is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array.
    List(Vec<Raw>),
    /// Text from the environment or a flag; the setting's type decides how it is read.
    Word(String),
    /// A line that is no TOML; its fault is already reported.
    Broken,
    /// A TOML value that no setting has (a date, a table within an array), by its name.
    Other(&'static str),
}

/// A value that passed its setting's check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Count(u64),
    Ratio(f64),
    Duration(Duration),
    Size(ByteSize),
    Text(String),
    Path(PathBuf),
    Url(ServiceUrl),
    Secret(Secret),
    /// What the file of API keys says.
    ApiKeys(Vec<ApiKey>),
    List(Vec<Value>),
}

impl Value {
    /// The value as TOML would have it; a secret is masked.
    pub(crate) fn to_toml(&self) -> String {
        match self {
            Self::Bool(_) | Self::Count(_) => self.to_json().to_string(),
            Self::Ratio(ratio) => format!("{ratio:?}"),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::to_toml).collect::<Vec<_>>().join(", "))
            }
            _ => toml::Value::String(self.to_json().as_str().unwrap_or_default().to_owned()).to_string(),
        }
    }

    /// The value as JSON; durations and sizes as text, a secret masked.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(bool) => (*bool).into(),
            Self::Count(count) => (*count).into(),
            Self::Ratio(ratio) => (*ratio).into(),
            Self::Duration(duration) => format_duration(*duration).into(),
            Self::Size(size) => size.to_string().into(),
            Self::Text(text) => text.clone().into(),
            Self::Path(path) => path.display().to_string().into(),
            Self::Url(url) => url.to_string().into(),
            Self::Secret(_) | Self::ApiKeys(_) => "(secret)".into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
        }
    }
}

/// A Rust type that a checked value becomes; `None` if `default.toml` gives the setting another type.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($ty:ty: $pattern:pat => $result:expr;)*) => {$(
        impl FromValue for $ty {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    $pattern => $result,
                    _ => None,
                }
            }
        }
    )*};
}

from_value! {
    bool: Value::Bool(bool) => Some(*bool);
    f64: Value::Ratio(ratio) => Some(*ratio);
    u64: Value::Count(count) => Some(*count);
    u32: Value::Count(count) => (*count).try_into().ok();
    u16: Value::Count(count) => (*count).try_into().ok();
    usize: Value::Count(count) => (*count).try_into().ok();
    NonZeroU32: Value::Count(count) => u32::try_from(*count).ok().and_then(Self::new);
    NonZeroU16: Value::Count(count) => u16::try_from(*count).ok().and_then(Self::new);
    Duration: Value::Duration(duration) => Some(*duration);
    ByteSize: Value::Size(size) => Some(*size);
    String: Value::Text(text) => Some(text.clone());
    SocketAddr: Value::Text(text) => text.parse().ok();
    PathBuf: Value::Path(path) => Some(path.clone());
    ServiceUrl: Value::Url(url) => Some(url.clone());
    Secret: Value::Secret(secret) => Some(secret.clone());
    Key32: Value::Secret(secret) => Self::from_hex(secret.expose());
}

impl FromValue for Vec<ApiKey> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::ApiKeys(keys) => Some(keys.clone()),
            _ => None,
        }
    }
}

/// Types that stand in list settings.
pub(crate) trait ListItem: FromValue {}
impl ListItem for String {}
impl ListItem for Duration {}
impl ListItem for ServiceUrl {}

impl<T: ListItem> FromValue for Vec<T> {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::List(items) => items.iter().map(T::from_value).collect(),
            _ => None,
        }
    }
}
