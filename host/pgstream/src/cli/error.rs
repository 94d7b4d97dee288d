//! Why a command did not do what it was asked to, and the exit code that says so.

use std::process::ExitCode;

use event::TableName;
use miette::Diagnostic;

use crate::{config, pipeline};

/// Why a command ended.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Known from the original, and not part of this version.
    #[error("`{what}` is not built yet in this version")]
    #[diagnostic(code(cli::not_built), help("leave it out; `pgstream --help` shows what there is"))]
    NotBuilt {
        /// As it is typed.
        what: String,
    },
    /// A name that is none.
    #[error("`{text}` is not the name of a table")]
    #[diagnostic(
        code(cli::table_name),
        help("write `table`, `schema.table`, or `\"Quoted\".\"names\"`; patterns have no place here")
    )]
    NoName {
        /// As it is typed.
        text: String,
    },
    /// Tables that are no new ones.
    #[error("the stream has them already: {}", listed(tables))]
    #[diagnostic(code(cli::streamed), help("`pgstream table resync` copies them again"))]
    Streamed {
        /// Which.
        tables: Vec<TableName>,
    },
    /// Tables that would be emptied.
    #[error("tables of the target have rows already: {}", listed(tables))]
    #[diagnostic(code(cli::not_empty), help("empty or drop them on the target, then add them again"))]
    NotEmpty {
        /// Which.
        tables: Vec<TableName>,
    },
    /// The configuration.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] config::Error),
    /// The source.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Source(#[from] listen::wal::Error),
    /// The target.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Target(#[from] sink::postgres::Error),
    /// The stream.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Pipeline(#[from] pipeline::Error),
    /// A thread, signal handler or the like.
    #[error("the system refuses what every process needs")]
    #[diagnostic(code(cli::system), help("look at the limits of this process: threads, open files, memory"))]
    System(#[source] std::io::Error),
}

/// Errors of the stages, in the pipeline's words.
macro_rules! of_pipeline {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Pipeline(error.into())
            }
        })*
    };
}

of_pipeline!(modify::Error, listen::snapshot::Error, sink::postgres::copy::Error);

fn listed(tables: &[TableName]) -> String {
    tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// 2 for usage and configuration, plugins and rules among it; 1 for everything that stopped the work.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        use modify::Error::{Problem, Problems};
        match self {
            Self::NotBuilt { .. }
            | Self::NoName { .. }
            | Self::Streamed { .. }
            | Self::NotEmpty { .. }
            | Self::Config(_)
            | Self::Pipeline(pipeline::Error::Modify(Problem(_) | Problems { .. })) => ExitCode::from(2),
            Self::Source(_) | Self::Target(_) | Self::Pipeline(_) | Self::System(_) => ExitCode::from(1),
        }
    }
}
