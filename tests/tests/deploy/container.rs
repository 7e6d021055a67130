//! What a container of `deploy/` sees, without an engine: its files below a folder that stands for its root, its environment and its
//! command, run by this host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use skein_tests::process::{Program, skein_binary};

/// Where the files of the project's containers are.
const PLACES: [&str; 3] = ["/etc/skein", "/run/secrets", "/var/lib/skein"];

/// A container.
pub struct Container {
    root: PathBuf,
    environment: BTreeMap<String, String>,
    command: Vec<String>,
}

impl Container {
    pub fn new(root: PathBuf, environment: BTreeMap<String, String>, command: Vec<String>) -> Self {
        // As every Linux has it.
        fs::create_dir_all(root.join("var/lib")).unwrap();
        Self { root, environment, command }
    }

    /// A path of the container, as it is here.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A text of the container with its places as they are here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for place in PLACES {
            text = text.replace(place, &self.at(place).display().to_string());
        }
        text
    }

    /// Mounts a folder of this host, or gives a file of its own mode 0400.
    pub fn mount(&self, from: &Path, to: &str) {
        let to = self.at(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        if from.is_dir() {
            return symlink(from, to).unwrap();
        }
        let bytes = fs::read(from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
        let name = to.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = if name.ends_with(".toml") {
            self.here(&String::from_utf8(bytes).unwrap()).into_bytes()
        } else {
            bytes
        };
        fs::write(&to, bytes).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o400)).unwrap();
    }

    /// Another value in its environment, for what is elsewhere here.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    /// Names of the files that it sees, but for its configuration and what it may write.
    pub fn secrets(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if path.is_file() && path.extension().is_none_or(|end| end != "toml") {
                    names.insert(path.file_name().unwrap().to_string_lossy().into_owned());
                }
            }
        }
        names
    }

    /// What each setting of its environment says.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Its command.
    pub fn command(&self) -> &[String] {
        &self.command
    }

    /// Its own command, to be started.
    pub fn program(&self) -> Program {
        let words: Vec<&str> = self.command.iter().map(String::as_str).collect();
        self.program_of(&words)
    }

    /// Another command in it.
    pub fn program_of(&self, words: &[&str]) -> Program {
        let mut program = Program::new(skein_binary().unwrap());
        let command = program.command();
        command.env_clear().args(words.iter().map(|word| self.here(word)));
        command.envs(self.environment.iter().map(|(name, value)| (name, self.here(value))));
        program
    }

    /// Another command in it, to its end; what it printed. Panics, with that, unless it succeeds.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.program_of(words).command().output().unwrap();
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(output.status.success(), "{words:?} ends with {}: {}", output.status, text.concat());
        text.concat()
    }
}
