//! The `skein` binary (or any program) as a child: captured output, signals, readiness, always ended.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{TimedOut, guard::Guarded, http, until};

/// What to start; finished by [`start`](Self::start).
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    kept_in: Option<PathBuf>,
}

impl Program {
    /// Any program; arguments and the like by [`command`](Self::command).
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let name = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { command: Command::new(program), name, kept_in: None }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The command, for what has no method here.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Its outputs go to `<folder>/<name>.out` and `<folder>/<name>.log` and stay there; otherwise they end with it.
    #[must_use]
    pub fn outputs_in(mut self, folder: &Path, name: &str) -> Self {
        self.kept_in = Some(folder.to_owned());
        self.name = name.to_owned();
        self
    }

    /// Starts it in its own process group, both outputs captured.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(self) -> io::Result<Child> {
        let (folder, [output, log]) = match &self.kept_in {
            Some(kept) => (None, ["out", "log"].map(|end| kept.join(format!("{}.{end}", self.name)))),
            None => {
                let mut own = tempfile::Builder::new().prefix("skein-process-").tempdir()?;
                own.disable_cleanup(std::env::var_os("SKEIN_TEST_KEEP").is_some());
                let paths = ["stdout", "stderr"].map(|name| own.path().join(name));
                (Some(own), paths)
            }
        };
        let kept = std::env::var_os("SKEIN_TEST_KEEP").is_some();
        let files = (File::create(&output)?, File::create(&log)?);
        let to_delete = folder.as_ref().filter(|_| !kept).map(TempDir::path);
        let process = Guarded::spawn_into(self.command, files, to_delete, Signal::KILL)?;
        Ok(Child { process, name: self.name, output, log, _folder: folder })
    }
}

/// A started program; killed on drop. When its test panics, the end of its output is printed.
#[derive(Debug)]
pub struct Child {
    process: Guarded,
    name: String,
    output: PathBuf,
    log: PathBuf,
    _folder: Option<TempDir>,
}

impl Child {
    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything on standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        read(&self.output)
    }

    /// Everything on standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.log)
    }

    /// Lines of the log, text or JSON, at level WARN or ERROR: a test that caused none expects none.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let levels = [" WARN ", " ERROR ", r#""level":"WARN""#, r#""level":"ERROR""#];
        let log = self.log();
        log.lines()
            .filter(|line| levels.iter().any(|level| line.contains(level)))
            .map(str::to_owned)
            .collect()
    }

    /// Waits for a whole line that contains `text` on either output, and gives it.
    ///
    /// # Errors
    /// [`TimedOut`] after `limit`, or at once when the program has ended without it.
    pub async fn wait_for_line(&mut self, text: &str, limit: Duration) -> Result<String, TimedOut> {
        let what = format!("{text:?} in the output of {}", self.name);
        let line = until(&what, limit, async || {
            let ended = self.process.exit_status().is_some();
            let both = [self.output(), self.log()];
            let mut whole = both.iter().flat_map(|text| text.split_inclusive('\n'));
            let found = whole.find(|line| line.ends_with('\n') && line.contains(text));
            if found.is_none() && !ended { None } else { Some(found.map(|line| line.trim_end().to_owned())) }
        });
        line.await?.ok_or_else(|| TimedOut::ended(&what))
    }

    /// Waits until `GET url` (as `http://127.0.0.1:PORT/readyz`) answers 2xx.
    ///
    /// # Errors
    /// [`TimedOut`] after `limit`, or at once when the program has ended.
    pub async fn wait_ready(&mut self, url: &str, limit: Duration) -> Result<(), TimedOut> {
        let what = format!("{} to be ready at {url}", self.name);
        let ready = until(&what, limit, async || {
            if self.process.exit_status().is_some() {
                return Some(false);
            }
            http::get(url).await.is_ok_and(|answer| answer.is_success()).then_some(true)
        });
        if ready.await? { Ok(()) } else { Err(TimedOut::ended(&what)) }
    }

    /// `kill -9`; gone when this returns.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM; see [`wait_exit`](Self::wait_exit).
    pub fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// SIGINT, as control-C sends.
    pub fn interrupt(&mut self) {
        self.process.signal(Signal::INT);
    }

    /// SIGHUP: what it is told by files is to be read again.
    pub fn hang_up(&mut self) {
        self.process.signal(Signal::HUP);
    }

    /// SIGSTOP: frozen between two instructions.
    pub fn pause(&mut self) {
        self.process.signal_group(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&mut self) {
        self.process.signal_group(Signal::CONT);
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.exit_status()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`TimedOut`] when it still runs after `limit`.
    pub async fn wait_exit(&mut self, limit: Duration) -> Result<ExitStatus, TimedOut> {
        let what = format!("the end of {}", self.name);
        self.process.wait(&what, limit).await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- the last lines of {} ({}):\n{tail}\n---", self.name, self.id());
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, time::Duration};

    use super::{Child, Program};

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Child {
        let mut program = Program::new("sh");
        program.command().args(["-c", script]);
        program.start().unwrap()
    }

    #[tokio::test]
    async fn output_and_exit_code_are_seen() {
        let mut child = shell("echo out; echo ' WARN it' >&2; exit 7");
        assert_eq!(child.wait_exit(LIMIT).await.unwrap().code(), Some(7));
        assert_eq!((child.output().as_str(), child.log().as_str()), ("out\n", " WARN it\n"));
        assert_eq!(child.complaints(), [" WARN it"]);
    }

    #[tokio::test]
    async fn a_line_is_waited_for_and_its_absence_is_an_error() {
        let mut child = shell("echo ready at 5; exec sleep 1000");
        assert_eq!(child.wait_for_line("ready", LIMIT).await.unwrap(), "ready at 5");
        child.kill9();
        assert_eq!(child.exit_status().unwrap().signal(), Some(9));
        let error = child.wait_for_line("never", LIMIT).await.unwrap_err();
        assert!(error.to_string().contains("has ended"), "{error}");
    }

    #[tokio::test]
    async fn terminate_reaches_the_program() {
        let mut child = shell("trap 'exit 3' TERM; echo up; while :; do sleep 0.01; done");
        child.wait_for_line("up", LIMIT).await.unwrap();
        child.terminate();
        assert_eq!(child.wait_exit(LIMIT).await.unwrap().code(), Some(3));
    }
}
