//! Quarantine: a message that killed its owner is not decoded again. Owners end by `abort`, so a body that makes the decoder
//! fail would kill every owner in turn; nothing limits deliveries, since a limit would punish its innocent neighbours.
//!
//! A message that came back often is a suspect. It is noted in a file before it is decoded, and the note is removed after. A note
//! that is found at the next start convicts its message, which goes to the dead letters unread.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use bytes::Bytes;

/// The notes of one queue.
#[derive(Debug)]
pub struct Quarantine {
    file: Option<PathBuf>,
    after: u32,
    convicted: Option<String>,
}

/// What is to be done with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// Decode it.
    None,
    /// Decode it, then call [`Quarantine::acquit`].
    Noted,
    /// It killed an owner: bury it unread.
    Convicted,
}

impl Quarantine {
    /// Reads the note of a former incarnation, if there is one. Without a folder nothing is noted. `after` is how often a message
    /// has come back before it is a suspect.
    ///
    /// # Errors
    /// If the folder or the note can't be read.
    pub fn open(folder: Option<&PathBuf>, name: &str, after: u32) -> std::io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self { file: None, after, convicted: None }) };
        fs::create_dir_all(folder)?;
        let file = folder.join(format!("suspect-{name}"));
        let convicted = match fs::read_to_string(&file) {
            Ok(note) => Some(note),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { file: Some(file), after, convicted })
    }

    /// Looks at a delivery before it is decoded.
    ///
    /// # Errors
    /// If the note can't be written; then it must not be decoded.
    pub fn look(&self, body: &Bytes, returns: u32) -> std::io::Result<Suspicion> {
        let Some(file) = self.file.as_ref().filter(|_| returns > 0) else { return Ok(Suspicion::None) };
        let hash = blake3::hash(body).to_hex();
        if self.convicted.as_deref() == Some(hash.as_str()) {
            return Ok(Suspicion::Convicted);
        }
        if returns < self.after {
            return Ok(Suspicion::None);
        }
        fs::write(file, hash.as_str())?;
        Ok(Suspicion::Noted)
    }

    /// The suspect was decoded, or the convict is buried.
    ///
    /// # Errors
    /// If the note can't be removed.
    pub fn acquit(&mut self) -> std::io::Result<()> {
        self.convicted = None;
        match &self.file {
            Some(file) => fs::remove_file(file)
                .or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p5_the_message_that_killed_its_owner_is_convicted_and_its_neighbours_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_path_buf();
        let (poison, innocent) = (Bytes::from_static(b"poison"), Bytes::from_static(b"innocent"));
        let mut first = Quarantine::open(Some(&path), "im.q0", 3).unwrap();
        assert_eq!(first.look(&innocent, 0).unwrap(), Suspicion::None);
        assert_eq!(first.look(&innocent, 3).unwrap(), Suspicion::Noted);
        first.acquit().unwrap();
        assert_eq!(first.look(&poison, 2).unwrap(), Suspicion::None);
        assert_eq!(first.look(&poison, 3).unwrap(), Suspicion::Noted);
        drop(first);
        let mut second = Quarantine::open(Some(&path), "im.q0", 3).unwrap();
        assert_eq!(second.look(&innocent, 4).unwrap(), Suspicion::Noted);
        assert_eq!(second.look(&poison, 4).unwrap(), Suspicion::Convicted);
        second.acquit().unwrap();
        assert_eq!(
            Quarantine::open(Some(&path), "im.q0", 3).unwrap().look(&poison, 1).unwrap(),
            Suspicion::None
        );
    }

    #[test]
    fn without_a_folder_nothing_is_noted() {
        let quarantine = Quarantine::open(None, "im.q0", 3).unwrap();
        assert_eq!(quarantine.look(&Bytes::new(), 99).unwrap(), Suspicion::None);
    }
}
