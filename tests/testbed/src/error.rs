//! What can go wrong in the testbed.

use std::path::{Path, PathBuf};

/// A server that could not be had, started or asked. Texts name the cause and what to do about it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No package is known for this major on this machine.
    #[error(
        "no Postgres {major} is installed and no package of it is known for {machine}; install postgresql-{major}"
    )]
    NoPackage {
        /// The major version asked for.
        major: u16,
        /// Operating system and processor of this machine.
        machine: String,
    },
    /// The package could not be downloaded.
    #[error(
        "Postgres {major} is not installed and its package could not be fetched from {url}: {reason}; \
         install postgresql-{major}, or let this machine reach that address once"
    )]
    Download {
        /// The major version asked for.
        major: u16,
        /// Where it was looked for.
        url: String,
        /// What the last try said.
        reason: String,
    },
    /// The package is not what it should be.
    #[error("{what} is not a usable Postgres package: {reason}")]
    Package {
        /// The file or address.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A program of the server ended badly.
    #[error("{program} ended with {status}: {output}")]
    Program {
        /// The program that was run.
        program: String,
        /// Its exit status.
        status: String,
        /// What it wrote.
        output: String,
    },
    /// The server did not come up.
    #[error("Postgres {major} did not start: {reason}")]
    Start {
        /// The major version.
        major: u16,
        /// The end of its log, or what was waited for.
        reason: String,
    },
    /// The server did not stop.
    #[error("Postgres (process {pid}) did not stop within {seconds} s")]
    Stop {
        /// Its postmaster.
        pid: i32,
        /// How long was waited.
        seconds: u64,
    },
    /// A file or folder could not be used.
    #[error("{action} {path}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it did not work.
        source: std::io::Error,
    },
    /// The server refused a connection or a statement.
    #[error("{statement}: {message}")]
    Sql {
        /// What was asked, shortened.
        statement: String,
        /// What the server said, with its SQLSTATE.
        message: String,
        /// The error as it came.
        source: tokio_postgres::Error,
    },
    /// The two sides cannot be compared at all.
    #[error("cannot compare {table}: {reason}")]
    Compare {
        /// The table.
        table: String,
        /// Why not.
        reason: String,
    },
    /// A target does not hold what the ledger says.
    #[error("look {looks} at the target: {}", problems.join("; "))]
    Ledger {
        /// How often it was looked at until then.
        looks: u64,
        /// Rows and transactions that are wrong.
        problems: Vec<String>,
    },
    /// A condition did not become true in time.
    #[error("waited {seconds} s for {what}{detail}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// What was seen last; empty or starting with a separator.
        detail: String,
    },
    /// The binary under test is not built.
    #[error("no pgstream binary at {path}; build it with `cargo build -p pgstream`, or name one in PGSTREAM_BIN", path = .0.display())]
    NoBinary(PathBuf),
}

/// For people: it is what an `unwrap` in a test prints.
impl std::fmt::Debug for Error {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { source, .. } => write!(to, "{self}: {source}"),
            _ => write!(to, "{self}"),
        }
    }
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { action, path: path.to_path_buf(), source }
    }

    /// For `map_err` on statements: names the statement and the server's answer.
    pub fn sql(statement: &str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| {
            let mut start: String = statement.chars().take(120).collect();
            if start.len() < statement.len() {
                start.push('…');
            }
            let message = match source.as_db_error() {
                Some(answer) => format!("{} ({})", answer.message(), answer.code().code()),
                // "error connecting to server" says little without its cause.
                None => match std::error::Error::source(&source) {
                    Some(cause) => format!("{source}: {cause}"),
                    None => source.to_string(),
                },
            };
            Self::Sql { statement: start, message, source }
        }
    }
}
