//! Runs the built `pgstream` binary as a user would, and looks at what it does.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::guard::Watch;
use crate::process::{self, Signal};
use crate::{Error, Result};

/// A running `pgstream`. Dropped, it is killed.
#[derive(Debug)]
pub struct Pgstream {
    child: Child,
    log: PathBuf,
    output: PathBuf,
    /// Holds configuration and log; removed when this is dropped.
    folder: Option<tempfile::TempDir>,
    kept: bool,
    watch: Watch,
}

/// How a `pgstream` ended, and what it wrote.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its exit status; [`Finished::code`] is the number.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error: logs and error messages.
    pub stderr: String,
}

impl Finished {
    /// The exit code, `None` when a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl Pgstream {
    /// The binary under test: `PGSTREAM_BIN`, else the one beside the running test or program.
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] when it is not there.
    pub fn binary() -> Result<PathBuf> {
        let path = match std::env::var_os("PGSTREAM_BIN") {
            Some(named) => std::path::absolute(&named).unwrap_or(PathBuf::from(named)),
            None => beside_us(),
        };
        if path.is_file() { Ok(path) } else { Err(Error::NoBinary(path)) }
    }

    /// The binary with these arguments, free of the `PGSTREAM_…` settings that our own environment may hold.
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] when it is not there.
    pub fn prepare(arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(Self::binary()?);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PGSTREAM_") {
                command.env_remove(name);
            }
        }
        Ok(command)
    }

    /// Runs one command (`init`, `status`, …) with this configuration (the text of a YAML file) to its end.
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] and [`Error::File`] when it cannot be run at all.
    pub fn command(arguments: &[&str], config: &str) -> Result<Finished> {
        let (file, _folder) = written(config)?;
        let mut command = Self::prepare(arguments)?;
        Self::finished(command.arg("-c").arg(file))
    }

    /// Runs a prepared command to its end.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when it cannot be run at all.
    pub fn finished(command: &mut Command) -> Result<Finished> {
        let output = command.output().map_err(Error::file("run", Path::new("pgstream")))?;
        Ok(Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts `pgstream run` with this configuration (the text of a YAML file).
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] and [`Error::File`] when it cannot be run at all.
    pub fn run(config: &str) -> Result<Self> {
        Self::run_with(&["run"], config)
    }

    /// As [`Pgstream::run`] with more arguments; the first one must be the command.
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] and [`Error::File`] when it cannot be run at all.
    pub fn run_with(arguments: &[&str], config: &str) -> Result<Self> {
        Self::run_failing(arguments, config, "")
    }

    /// As [`Pgstream::run_with`], with what happens at which places of the program: `FAILPOINTS` of the crate `fail`.
    ///
    /// # Errors
    ///
    /// [`Error::NoBinary`] and [`Error::File`] when it cannot be run at all.
    pub fn run_failing(arguments: &[&str], config: &str, places: &str) -> Result<Self> {
        let (file, folder) = written(config)?;
        let mut command = Self::prepare(arguments)?;
        command.arg("-c").arg(file).env("FAILPOINTS", places);
        let mut started = Self::spawn(command, folder.path().join("log"))?;
        started.folder = Some(folder);
        Ok(started)
    }

    /// Starts a prepared command that writes its standard error into the file `log`, its output into one beside it.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when it cannot be run.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self> {
        let output = log.with_added_extension("out");
        let file = |path: &PathBuf| File::create(path).map_err(Error::file("create", path));
        let (to, out) = (file(&log)?, file(&output)?);
        // A group of its own: a Ctrl-C at the terminal is for us, and we decide what becomes of it.
        command.stdin(Stdio::null()).stdout(out).stderr(to).process_group(0);
        let child = command.spawn().map_err(Error::file("run", Path::new(command.get_program())))?;
        let watch = Watch::over(child.id())?;
        Ok(Self { child, log, output, folder: None, kept: false, watch })
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What it has written to standard output so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Leaves it running when this value is dropped, and after this process.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Waits until a line of its log holds `text`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with the log, when it does not come or when the program has ended without it.
    pub async fn logs(&mut self, text: &str, limit: Duration) -> Result<()> {
        let start = Instant::now();
        loop {
            // Asked before the log is read: what it wrote last must not be missed.
            let over = !self.is_running() || start.elapsed() > limit;
            let log = self.log();
            if log.contains(text) {
                return Ok(());
            }
            if over {
                return Err(Error::TimedOut {
                    what: format!("{text:?} in the log of pgstream"),
                    seconds: start.elapsed().as_secs(),
                    detail: format!(":\n{log}"),
                });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to drain and end (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end as Ctrl-C does (SIGINT).
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Freezes it (SIGSTOP), or lets it go on (SIGCONT).
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Ends it at once (SIGKILL) and waits for its end.
    ///
    /// # Errors
    ///
    /// [`Error::File`] when the kernel says nothing of its end.
    pub fn kill(mut self) -> Result<Finished> {
        self.signal(Signal::KILL);
        let status = self.child.wait().map_err(Error::file("wait for", Path::new("pgstream")))?;
        Ok(Finished { status, stdout: self.output(), stderr: self.log() })
    }

    /// Asks it to drain and end, and waits until it has.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with its log when it does not end in time; it is then killed.
    pub async fn stop(self, limit: Duration) -> Result<Finished> {
        self.terminate();
        self.finish(limit).await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] with its log when it does not end in time; it is then killed.
    pub async fn finish(mut self, limit: Duration) -> Result<Finished> {
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(Finished { status, stdout: self.output(), stderr: self.log() });
            }
            if start.elapsed() >= limit {
                return Err(Error::TimedOut {
                    what: "the end of pgstream".to_owned(),
                    seconds: limit.as_secs(),
                    detail: format!("; its log:\n{}", self.log()),
                });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            process::signal(pid, signal);
        }
    }
}

impl Drop for Pgstream {
    fn drop(&mut self) {
        if !self.kept {
            // Both fail only for a process that has ended.
            let _gone = self.child.kill();
            let _status = self.child.wait();
        }
        self.watch.release();
    }
}

fn written(config: &str) -> Result<(PathBuf, tempfile::TempDir)> {
    let parent = std::env::temp_dir();
    let folder = tempfile::Builder::new()
        .prefix("pgstream-config-")
        .tempdir_in(&parent)
        .map_err(Error::file("create a folder in", &parent))?;
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, config).map_err(Error::file("write", &file))?;
    Ok((file, folder))
}

/// A test runs from `target/debug/deps/`, a program from `target/debug/`.
fn beside_us() -> PathBuf {
    let ours = std::env::current_exe().unwrap_or_default();
    let folder = ours.parent().unwrap_or(Path::new("."));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.join("pgstream")
}
