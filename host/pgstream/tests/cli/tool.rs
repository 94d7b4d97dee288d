//! Runs the binary with a configuration and a clean environment, and says what came of it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What a run has written, and its exit code.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts an error: exit code, code, and a piece of message and remedy.
    #[track_caller]
    pub(crate) fn is_error(&self, exit: i32, code: &str, message: &str, remedy: &str) -> &Self {
        assert_eq!(self.code, Some(exit), "{self:#?}");
        for piece in [&format!("error[{code}]: ")[..], message] {
            assert!(self.stderr.contains(piece), "{piece:?} in {self:#?}");
        }
        self.has_remedy(remedy)
    }

    /// Asserts a piece of a remedy.
    #[track_caller]
    pub(crate) fn has_remedy(&self, piece: &str) -> &Self {
        let found = self.stderr.lines().filter(|line| line.trim_start().starts_with("remedy: "));
        assert!(found.clone().any(|line| line.contains(piece)), "remedy {piece:?} in {self:#?}");
        self
    }

    /// Asserts success.
    #[track_caller]
    pub(crate) fn is_done(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }
}

/// A folder for a configuration and what belongs to it.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let file = self.path(name);
        std::fs::write(&file, content).unwrap();
        file
    }
}

/// The command, without any setting of the developer's own environment.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgstream"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PGSTREAM_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn pgstream(arguments: &[&str]) -> Ended {
    Ended::of(&command(arguments).output().unwrap())
}

/// Runs a command with a configuration to its end.
#[track_caller]
pub(crate) fn configured(arguments: &[&str], config: &str) -> Ended {
    let folder = Folder::new();
    let file = folder.write("c.yaml", config);
    Ended::of(&command(arguments).arg("-c").arg(file).output().unwrap())
}

/// A configuration with these ends, and whatever follows.
pub(crate) fn config(source: &str, target: &str, more: &str) -> String {
    format!(
        "source: {{postgres: {{url: \"{source}\", mode: replication}}}}\n\
         target: {{postgres: {{url: \"{target}\"}}}}\n{more}\n"
    )
}

/// An address at which nothing listens.
pub(crate) const NOWHERE: &str = "postgres://app:secret@127.0.0.1:1/shop";

/// A run in the background, with the folder of its configuration.
pub(crate) struct Running {
    pub(crate) process: testbed::Pgstream,
    _folder: Folder,
}

impl Running {
    /// Asks it to drain, and waits for its end.
    pub(crate) async fn stop(self, limit: Duration) -> testbed::Result<testbed::Finished> {
        self.process.stop(limit).await
    }

    /// Waits for its end.
    pub(crate) async fn finish(self, limit: Duration) -> testbed::Result<testbed::Finished> {
        self.process.finish(limit).await
    }
}

/// Starts `pgstream run` with a configuration.
pub(crate) fn started(config: &str) -> Running {
    let folder = Folder::new();
    let mut run = command(&["run", "-c"]);
    run.arg(folder.write("c.yaml", config));
    let log = folder.path("log");
    Running { process: testbed::Pgstream::spawn(run, log).unwrap(), _folder: folder }
}
