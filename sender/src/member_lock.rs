//! The lock of a member: the kernel frees it only when the process that held it is dead, so that the next life of the member knows
//! that the lives before it write no more, and needs no grace.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use skein_core::fleet::{Incarnation, MemberId};
use uuid::Uuid;

/// The most earlier lives that are remembered: a queue whose owner died longer ago waits the grace out.
const LIVES_MAX: usize = 64;

/// Held as long as the process lives. The file names the lives that have held it, so that it vouches for these alone: a member whose
/// state folder went to another host finds a lock that its predecessor never held.
#[derive(Debug)]
pub struct MemberLock {
    _file: File,
    /// The lives before this one that have held this lock: their processes are dead.
    pub dead: Vec<Incarnation>,
}

/// The lock can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "another sender named {member} runs on this host with the same sender.state_folder; end it, or give this one another sender.member"
    )]
    Held {
        /// The member.
        member: MemberId,
    },
    /// The file can't be used.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl MemberLock {
    /// Takes the lock of `member` in `folder` for this life, and notes the life in it.
    ///
    /// # Errors
    /// [`LockError::Held`] at once if another process holds it: whether to wait is the caller's to say.
    pub fn take(folder: &Path, member: &MemberId, life: Incarnation) -> Result<Self, LockError> {
        let path = folder.join(format!("{member}.lock"));
        let failed = |error| LockError::File { path: path.clone(), error };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { member: member.clone() }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        // A line that was not written whole names nobody.
        let mut dead: Vec<Incarnation> =
            text.lines().filter_map(|line| Uuid::parse_str(line).ok()).map(Incarnation).collect();
        dead.drain(..dead.len().saturating_sub(LIVES_MAX));
        let lives = dead.iter().chain([&life]).map(|life| format!("{life}\n")).collect::<String>();
        // Noted before anything is owned under this life. Written over in place: a crash in between costs a grace, no more.
        file.rewind().map_err(failed)?;
        file.write_all(lives.as_bytes()).map_err(failed)?;
        file.set_len(lives.len() as u64).map_err(failed)?;
        Ok(Self { _file: file, dead })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vouches_for_those_who_held_it_and_are_dead() {
        let folder = tempfile::tempdir().unwrap();
        let member = MemberId::parse("s1").unwrap();
        let life = |n| Incarnation(Uuid::from_u128(n));
        let first = MemberLock::take(folder.path(), &member, life(1)).unwrap();
        assert!(first.dead.is_empty());
        assert!(
            matches!(MemberLock::take(folder.path(), &member, life(2)), Err(LockError::Held { .. })),
            "P2: the first life is not over"
        );
        let other = MemberId::parse("s2").unwrap();
        assert!(MemberLock::take(folder.path(), &other, life(9)).unwrap().dead.is_empty());
        drop(first);
        assert_eq!(MemberLock::take(folder.path(), &member, life(3)).unwrap().dead, [life(1)]);
        assert_eq!(MemberLock::take(folder.path(), &member, life(4)).unwrap().dead, [life(1), life(3)]);
        for n in 5..200 {
            MemberLock::take(folder.path(), &member, life(n)).unwrap();
        }
        let last = MemberLock::take(folder.path(), &member, life(200)).unwrap();
        assert_eq!((last.dead.len(), last.dead.last()), (LIVES_MAX, Some(&life(199))));
    }
}
