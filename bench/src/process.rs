//! A child process: its output, its CPU and memory as the kernel counts them, its end by its own pid.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;

use crate::stop::until;

const END_LIMIT: Duration = Duration::from_secs(60);
const LOG_TAIL_LINES: usize = 15;

/// A child of this process, killed when dropped.
pub(crate) struct Process {
    name: String,
    pid: Pid,
    folder: PathBuf,
    ended: bool,
}

/// What a process cost over its whole life.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu: Duration,
    exit_code: Option<i32>,
}

impl Process {
    /// Starts this same binary. Its output goes to `<name>.out` and `<name>.log` in `folder`; `secrets` go by environment.
    pub(crate) fn start(
        name: &str,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        secrets: &[(&str, &str)],
    ) -> Result<Self> {
        let binary = std::env::current_exe().context("cannot find this binary")?;
        Self::start_program(name, &binary, folder, arguments, secrets)
    }

    /// The same with another program.
    pub(crate) fn start_program(
        name: &str,
        program: &Path,
        folder: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        secrets: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).envs(secrets.iter().copied()).current_dir(folder).stdin(Stdio::null());
        command.stdout(File::create(folder.join(format!("{name}.out")))?);
        command.stderr(File::create(folder.join(format!("{name}.log")))?);
        end_with_parent(&mut command);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = Pid::from_child(&child);
        Ok(Self { name: name.to_owned(), pid, folder: folder.to_owned(), ended: false })
    }

    /// Waits for its first line of output, which is JSON.
    pub(crate) fn first_line<T: DeserializeOwned>(&mut self, limit: Duration) -> Result<T> {
        let path = self.folder.join(format!("{}.out", self.name));
        let what = format!("the first line of {}", self.name);
        until(&what, limit, || {
            let text = fs::read_to_string(&path)?;
            match text.split_once('\n') {
                Some((line, _)) => Ok(Some(serde_json::from_str(line)?)),
                None => self.check_alive().map(|()| None),
            }
        })
    }

    /// The last line of its output, which is JSON; after its end.
    pub(crate) fn last_line<T: DeserializeOwned>(&self) -> Result<T> {
        let text = self.output()?;
        let line = text.lines().next_back().with_context(|| format!("{} said nothing", self.name))?;
        serde_json::from_str(line)
            .with_context(|| format!("the last line of {} is not understood", self.name))
    }

    /// # Errors
    /// It has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.reap(libc::WNOHANG)? {
            None => Ok(()),
            Some(usage) => bail!(self.failure(&format!("ended too early ({:?})", usage.exit_code))),
        }
    }

    /// Waits for its end with exit code 0; `meanwhile` may end the wait with an error.
    pub(crate) fn wait(
        &mut self,
        limit: Duration,
        mut meanwhile: impl FnMut() -> Result<()>,
    ) -> Result<Usage> {
        let what = format!("the end of {}", self.name);
        let usage = until(&what, limit, || {
            meanwhile()?;
            self.reap(libc::WNOHANG)
        });
        let usage = usage.map_err(|error| error.context(self.failure("did not end")))?;
        ensure!(usage.exit_code == Some(0), self.failure(&format!("ended with {:?}", usage.exit_code)));
        Ok(usage)
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub(crate) fn end(&mut self) -> Result<Usage> {
        kill_process(self.pid, Signal::TERM)?;
        self.wait(END_LIMIT, || Ok(()))
    }

    /// The most memory it ever had resident, in MB, while it lives. `None` where the kernel does not say (not Linux).
    pub(crate) fn peak_rss_mb(&self) -> Option<f64> {
        peak_rss_mb(&self.pid.as_raw_nonzero().to_string())
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join(format!("{}.out", self.name)))?)
    }

    fn reap(&mut self, options: i32) -> Result<Option<Usage>> {
        ensure!(!self.ended, "{} has ended", self.name);
        let mut status = 0;
        // SAFETY: an all-zero rusage is a valid value of a struct of integers.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let pid = self.pid.as_raw_nonzero().get();
        // SAFETY: the pid is a child of ours that is not reaped yet (`ended`); both pointers are to live locals.
        let reaped = unsafe { libc::wait4(pid, &raw mut status, options, &raw mut usage) };
        match reaped {
            0 => Ok(None),
            _ if reaped == pid => {
                self.ended = true;
                let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
                Ok(Some(Usage {
                    cpu: Duration::from_secs_f64(seconds(usage.ru_utime) + seconds(usage.ru_stime)),
                    exit_code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
                }))
            }
            _ => Err(std::io::Error::last_os_error()).context("cannot wait for a child"),
        }
    }

    fn failure(&self, how: &str) -> String {
        let log = fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        format!("{} {how}; its last lines:\n{tail}\n", self.name)
    }
}

/// The most memory that a process (its pid, or `self`) ever had resident, in MB. Not `ru_maxrss`, which a child inherits.
pub(crate) fn peak_rss_mb(process: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.reap(0);
        }
    }
}

#[cfg(target_os = "linux")]
fn end_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let ask = || rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into);
    // SAFETY: between fork and exec it makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent(_command: &mut Command) {}
