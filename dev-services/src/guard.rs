//! A child process that never outlives the test: ended on drop, and by a watchdog when the test itself is killed.
//!
//! The child leads its own process group. The watchdog is a shell in another group that reads a pipe whose other end
//! only this process holds: end of file without a word means that this process is gone, and the group is killed.
//! (The kernel's parent-death signal would not do: it fires when the starting *thread* ends.)

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

const WATCHDOG: &str = r#"
read -r word
if [ "$word" != done ]; then
    kill -"$2" "$1" 2>/dev/null && [ "$2" != KILL ] && sleep 1
    kill -KILL -- -"$1" 2>/dev/null
    [ -z "$3" ] || { sleep 0.2; rm -rf -- "$3"; }
fi
"#;
const MERCY: Duration = Duration::from_secs(5);

/// A child process and its watchdog.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    last_signal: Signal,
    watchdog: Option<Child>,
    line: Option<ChildStdin>,
    ended: Option<ExitStatus>,
}

impl Guarded {
    /// [`spawn_into`](Self::spawn_into) with both outputs appended to `log`.
    pub(crate) fn spawn(
        command: Command,
        log: &Path,
        folder: Option<&Path>,
        last_signal: Signal,
    ) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).open(log)?;
        Self::spawn_into(command, (output.try_clone()?, output), folder, last_signal)
    }

    /// Starts `command` in a group of its own, its standard output and error going to `outputs`.
    ///
    /// `last_signal` is what ends it on drop (and `KILL` after 5 s); `folder` is deleted if this process is killed.
    pub(crate) fn spawn_into(
        mut command: Command,
        outputs: (File, File),
        folder: Option<&Path>,
        last_signal: Signal,
    ) -> io::Result<Self> {
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(outputs.0)
            .stderr(outputs.1)
            .spawn()
            .map_err(|e| {
                io::Error::new(e.kind(), format!("cannot start {}: {e}", command.get_program().display()))
            })?;
        let signal_name = if last_signal == Signal::QUIT { "QUIT" } else { "KILL" };
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &child.id().to_string(), signal_name])
            .arg(folder.unwrap_or(Path::new("")))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let line = watchdog.stdin.take();
        Ok(Self { child, last_signal, watchdog: Some(watchdog), line, ended: None })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends `signal` to the child alone; nothing happens when it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            let _gone = kill_process(Pid::from_child(&self.child), signal);
            self.await_stop(signal);
        }
    }

    /// Sends `signal` to the child's whole process group.
    pub(crate) fn signal_group(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            let _gone = kill_process_group(Pid::from_child(&self.child), signal);
            self.await_stop(signal);
        }
    }

    /// A stop is in force when its last thread has stopped, which takes a moment: the kernel tells the parent.
    fn await_stop(&self, signal: Signal) {
        if signal == Signal::STOP {
            let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _gone = waitid(WaitId::Pid(Pid::from_child(&self.child)), options);
        }
    }

    /// `kill -9` of the group, and waits for the child's end.
    pub(crate) fn kill9(&mut self) {
        self.signal_group(Signal::KILL);
        if self.ended.is_none() {
            self.ended = self.child.wait().ok();
        }
        self.dismiss_watchdog();
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap_or(Some(ExitStatus::from_raw(0)));
        }
        self.ended
    }

    /// Waits for the end; afterwards the watchdog ends too.
    pub(crate) async fn wait(&mut self, what: &str, limit: Duration) -> Result<ExitStatus, crate::TimedOut> {
        let status = crate::until(what, limit, async || self.exit_status()).await?;
        self.dismiss_watchdog();
        Ok(status)
    }

    /// Its end is waited for elsewhere: who restarts a killed process at once measures that process, not a shell.
    fn dismiss_watchdog(&mut self) {
        if let (Some(mut line), Some(mut watchdog)) = (self.line.take(), self.watchdog.take()) {
            let _gone = line.write_all(b"done\n");
            drop(line);
            std::thread::spawn(move || watchdog.wait());
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(self.last_signal);
        let deadline = Instant::now() + MERCY;
        while self.exit_status().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill9();
    }
}
