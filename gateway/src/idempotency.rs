//! What an `Idempotency-Key` is remembered by, and the seam of its memory.

use std::fmt;
use std::pin::Pin;

use skein_core::lease::BootMillis;
use skein_core::{NotificationId, PoolName};

use crate::problem::Problem;

mod memory;

pub use memory::MemoryStore;

/// The longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What stands for a caller and its `Idempotency-Key`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 16]);

/// What stands for a pool and a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(pub [u8; 16]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyHash(…)")
    }
}

fn hash(parts: [&[u8]; 2]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

impl KeyHash {
    /// Of a caller's own key.
    ///
    /// # Errors
    /// The key is empty or too long.
    pub(crate) fn of(caller: &str, key: &[u8]) -> Result<Self, Problem> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Err(Problem::fault("Idempotency-Key", "not 1 to 255 bytes; a UUID is a good one"));
        }
        Ok(Self(hash([caller.as_bytes(), key])))
    }
}

impl BodyHash {
    /// Of a request.
    pub(crate) fn of(pool: &PoolName, body: &[u8]) -> Self {
        Self(hash([pool.as_str().as_bytes(), body]))
    }
}

/// The ids of a request, in its order, and which of them were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    /// Each id, given or made.
    pub ids: Box<[NotificationId]>,
    /// Whether it was accepted, for each id.
    pub accepted: Box<[bool]>,
}

/// How a request with a key begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// It is the only one under way with this key and must end with [`IdempotencyStore::end`]. What an earlier one with the
    /// same body left open is to be gone on with, under the same ids.
    Go(Option<Remembered>),
    /// It was answered before: each of these was accepted.
    Answered(Box<[NotificationId]>),
    /// The key was used with another body.
    Conflict,
}

/// How a request with a key ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every one was accepted: the same request gets the same answer.
    Answered(Box<[NotificationId]>),
    /// Some were not, or nobody knows: the same request goes on.
    Open(Remembered),
    /// Nothing was begun: the key is free again.
    Forget,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Remembers what became of requests with an `Idempotency-Key`, for a time and up to a number.
pub trait IdempotencyStore: Send + Sync + 'static {
    /// Begins a request. Waits while another one with the same key is under way.
    ///
    /// Cancellation safe: dropped, nothing was begun.
    fn begin(&self, key: KeyHash, body: BodyHash, now: BootMillis) -> Boxed<'_, Begin>;

    /// Ends a request that [`Begin::Go`] let go.
    fn end(&self, key: KeyHash, end: End) -> Boxed<'_, ()>;

    /// How many keys are remembered.
    fn len(&self) -> usize;

    /// Whether none is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(KeyHash::of("a", b"bc").unwrap(), KeyHash::of("ab", b"c").unwrap());
        assert!(KeyHash::of("a", b"").is_err());
        assert!(KeyHash::of("a", &[b'x'; 255]).is_ok());
        assert!(KeyHash::of("a", &[b'x'; 256]).is_err());
    }
}
