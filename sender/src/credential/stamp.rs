//! Whether a credential's files have changed: looked at, since that works for every file system and every way of
//! replacing a file, the exchanged symbolic links of a Kubernetes secret included.

use std::path::PathBuf;

/// What the files looked like. Links are followed, so that an exchanged target shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp(Vec<Option<Look>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    device: u64,
    inode: u64,
    size: u64,
    /// Last change of content and of the inode, in nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Looks at the files now. Blocks for one `stat` a file; one that is not there is a look as well.
    pub fn of(files: &[PathBuf]) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        let look = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok()?;
            Some(Look {
                device: metadata.dev(),
                inode: metadata.ino(),
                size: metadata.size(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            })
        };
        Self(files.iter().map(look).collect())
    }
}

/// Which look was acted on, and which was seen once. A change is acted on when two looks in a row agree, so that a file
/// that is still being written is left alone.
#[derive(Debug, Default)]
pub struct Watch {
    acted: Stamp,
    seen: Stamp,
}

impl Watch {
    /// From files that were just read.
    pub fn new(stamp: Stamp) -> Self {
        Self { acted: stamp.clone(), seen: stamp }
    }

    /// Whether what the files look like now is new, and has stayed so since the look before.
    pub fn is_new(&mut self, stamp: Stamp) -> bool {
        let settled = self.seen == stamp;
        self.seen = stamp;
        if settled && self.acted != self.seen {
            self.acted = self.seen.clone();
            return true;
        }
        false
    }

    /// What was acted on came to nothing for want of a connection: to be acted on again.
    pub fn again(&mut self) {
        self.acted = Stamp::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_change_is_told_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("push.p12");
        fs::write(&file, "one").unwrap();
        let files = [file.clone(), folder.path().join("password")];
        let mut watch = Watch::new(Stamp::of(&files));
        assert!(!watch.is_new(Stamp::of(&files)));
        fs::write(&file, "two, half").unwrap();
        assert!(!watch.is_new(Stamp::of(&files)), "it may still be written");
        fs::write(&file, "two, whole").unwrap();
        assert!(!watch.is_new(Stamp::of(&files)), "and it was");
        assert!(watch.is_new(Stamp::of(&files)));
        assert!(!watch.is_new(Stamp::of(&files)), "once");
        watch.again();
        assert!(watch.is_new(Stamp::of(&files)));
        fs::write(&files[1], "new").unwrap();
        watch.is_new(Stamp::of(&files));
        assert!(watch.is_new(Stamp::of(&files)), "a file that was not there counts");
    }

    #[test]
    fn an_exchanged_link_is_a_change() {
        // As Kubernetes does it: file → ..data/file, ..data → a folder, exchanged by a rename.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("push.p12"), "same size").unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/push.p12", at("push.p12")).unwrap();
        let files = [at("push.p12")];
        let before = Stamp::of(&files);
        symlink("v2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(Stamp::of(&files), before);
    }
}
