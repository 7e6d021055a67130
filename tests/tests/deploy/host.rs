//! A host without systemd that runs the units of `deploy/systemd` as systemd would: their command, environment, users' secrets and
//! folders, and back at once after an end that nobody asked for.

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use skein_tests::process::{Child, Program, skein_binary};

use crate::deploy;

/// What a unit says, for one instance.
#[derive(Debug)]
struct Unit {
    lines: Vec<(String, String)>,
}

impl Unit {
    /// Of a name such as `skein-sender@sender-1`, from a folder.
    fn read(folder: &Path, name: &str) -> Self {
        let (template, instance) =
            name.split_once('@').map_or((name.to_owned(), ""), |(unit, i)| (format!("{unit}@"), i));
        let path = folder.join(format!("{template}.service"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let lines = text.lines().filter(|line| !line.starts_with(['#', '[']));
        let lines = lines.filter_map(|line| line.split_once('='));
        Self { lines: lines.map(|(key, value)| (key.to_owned(), value.replace("%i", instance))).collect() }
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    fn one<'a>(&'a self, key: &'a str) -> &'a str {
        self.all(key).last().unwrap_or_else(|| panic!("the unit has no {key}"))
    }

    fn milliseconds(&self, key: &str) -> Duration {
        Duration::from_millis(self.one(key).trim_end_matches("ms").parse().unwrap())
    }
}

/// What a package of one version brings.
pub struct Version {
    pub program: PathBuf,
    /// The folder of its units.
    pub units: PathBuf,
}

impl Version {
    /// That which is built here.
    pub fn present() -> Self {
        Self { program: skein_binary().unwrap(), units: deploy("systemd") }
    }

    /// That which `SKEIN_BIN_OLD` and `SKEIN_DEPLOY_OLD` name; without them, the same one.
    pub fn previous() -> Self {
        let mut version = Self::present();
        if let Some(program) = env::var_os("SKEIN_BIN_OLD") {
            version.program = program.into();
        }
        if let Some(folder) = env::var_os("SKEIN_DEPLOY_OLD") {
            version.units = Path::new(&folder).join("systemd");
        }
        version
    }
}

/// One unit's process.
struct Running {
    unit: Unit,
    child: Child,
}

/// A host.
pub struct Host {
    /// Stands for `/`.
    root: PathBuf,
    /// Stands for `/etc/systemd/system`.
    units: PathBuf,
    running: BTreeMap<String, Running>,
}

impl Host {
    /// With what `skein.tmpfiles` makes, and nothing else.
    pub fn new(root: PathBuf) -> Self {
        let host = Self { root, units: deploy("systemd"), running: BTreeMap::new() };
        let folders = fs::read_to_string(deploy("systemd").join("skein.tmpfiles")).unwrap();
        for line in folders.lines().filter(|line| line.starts_with("d ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let path = host.at(words[1]);
            fs::create_dir_all(&path).unwrap();
            // What root writes there, here its owner does.
            let mode = u32::from_str_radix(words[2], 8).unwrap() | 0o200;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir_all(host.at("/usr/bin")).unwrap();
        host
    }

    /// A path of the host, as it is here.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Puts a program at `/usr/bin/skein` and its units beside it, in place of those before; who runs keeps running those.
    pub fn install(&mut self, version: &Version) {
        let (new, place) = (self.at("/usr/bin/skein.new"), self.at("/usr/bin/skein"));
        symlink(fs::canonicalize(&version.program).unwrap(), &new).unwrap();
        fs::rename(new, place).unwrap();
        self.units.clone_from(&version.units);
    }

    /// What is put into `/etc/skein/INSTANCE.env`.
    pub fn environment(&self, instance: &str, lines: &str) {
        fs::write(self.at(&format!("/etc/skein/{instance}.env")), lines).unwrap();
    }

    /// `systemctl start UNIT`
    pub fn start(&mut self, name: &str) {
        let unit = Unit::read(&self.units, name);
        let child = self.spawn(name, &unit);
        self.running.insert(name.to_owned(), Running { unit, child });
    }

    fn spawn(&self, name: &str, unit: &Unit) -> Child {
        let secrets = self.at(&format!("/run/credentials/{name}"));
        let _ = fs::remove_dir_all(&secrets);
        fs::create_dir_all(&secrets).unwrap();
        for credential in unit.all("LoadCredential") {
            let (id, path) = credential.split_once(':').unwrap();
            let to = secrets.join(id);
            fs::copy(self.at(path), &to).unwrap_or_else(|e| panic!("{name}: {path}: {e}"));
            fs::set_permissions(to, fs::Permissions::from_mode(0o400)).unwrap();
        }
        for folder in unit.all("StateDirectory") {
            fs::create_dir_all(self.at("/var/lib").join(folder)).unwrap();
        }
        let mut environment = BTreeMap::new();
        let files = unit.all("EnvironmentFile").map(|path| self.at(path.trim_start_matches('-')));
        let files: Vec<String> = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
        for line in unit.all("Environment").chain(files.iter().flat_map(|text| text.lines())) {
            let (key, value) = line.split_once('=').unwrap();
            let value = value.replace("%d", &secrets.display().to_string());
            let is_ours = ["/etc/", "/var/"].iter().any(|at| value.starts_with(at));
            let value = if is_ours { self.at(&value).display().to_string() } else { value };
            environment.insert(key.to_owned(), value);
        }
        let mut words = unit.one("ExecStart").split_whitespace();
        let mut program = Program::new(self.at(words.next().unwrap()));
        for word in words {
            match word.strip_prefix('$') {
                Some(name) => program.command().args(environment[name].split_whitespace()),
                None if word.starts_with('/') => program.command().arg(self.at(word)),
                None => program.command().arg(word),
            };
        }
        program.command().env_clear().envs(environment);
        program.start().unwrap()
    }

    fn unit(&mut self, name: &str) -> &mut Running {
        self.running.get_mut(name).unwrap_or_else(|| panic!("{name} does not run"))
    }

    /// The process of a unit.
    pub fn process(&mut self, name: &str) -> &mut Child {
        &mut self.unit(name).child
    }

    /// `kill -9`, by which a unit with `Restart=always` is back after its `RestartSec`.
    pub async fn kill(&mut self, name: &str) {
        self.process(name).kill9();
        self.look_after().await;
        assert!(self.running.contains_key(name), "{name} is back");
    }

    /// `systemctl restart UNIT`
    pub async fn restart(&mut self, name: &str) {
        self.stop(name).await;
        self.start(name);
    }

    /// `systemctl stop UNIT`: SIGTERM, and its end within `TimeoutStopSec`.
    pub async fn stop(&mut self, name: &str) {
        let Running { unit, mut child } = self.running.remove(name).unwrap();
        assert_eq!(unit.one("KillSignal"), "SIGTERM");
        child.terminate();
        let limit = unit.one("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
        let status = child.wait_exit(Duration::from_secs(limit)).await.unwrap();
        assert_eq!(status.code(), Some(0), "{name} ends in order; its log: {}", child.log());
    }

    /// Whose processes run.
    pub fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// What systemd does of itself: who has ended is started again, unless its unit says that it stays down.
    pub async fn look_after(&mut self) {
        for name in self.names() {
            let Running { unit, child } = self.unit(&name);
            let Some(status) = child.exit_status() else { continue };
            assert_eq!(unit.one("Restart"), "always");
            let stays = status.code().is_some_and(|code| {
                let mut codes = unit.all("RestartPreventExitStatus").flat_map(str::split_whitespace);
                codes.any(|known| known == code.to_string())
            });
            let Running { unit, child } = self.running.remove(&name).unwrap();
            if stays {
                continue;
            }
            assert_eq!(status.code(), None, "{name} has ended by itself; its log: {}", child.log());
            tokio::time::sleep(unit.milliseconds("RestartSec")).await;
            self.start(&name);
        }
    }
}
