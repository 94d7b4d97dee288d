//! What can end the pipeline, and whether starting again may help.

use crate::config::{Ready, Retry};

/// What ended the pipeline.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The source.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Listen(#[from] listen::wal::Error),
    /// A plugin or a rule.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Modify(#[from] modify::Error),
    /// The target.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sink(#[from] sink::postgres::Error),
    /// Source and target do not fit together.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// A stage ended in a way that only a bug explains.
    #[error("the {stage} stopped without a reason")]
    #[diagnostic(
        code(pipeline::bug),
        help("please report this, with the log; nothing was lost: run it again")
    )]
    Bug {
        /// Which.
        stage: &'static str,
    },
}

impl Error {
    /// Whether starting again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Listen(error) => error.is_transient(),
            Self::Sink(error) => error.is_transient(),
            Self::Modify(_) | Self::Checkpoint(_) | Self::Bug { .. } => false,
        }
    }

    /// Whose patience counts.
    pub(crate) fn retry<'a>(&self, ready: &'a Ready) -> &'a Retry {
        if matches!(self, Self::Sink(_)) { &ready.target.retry } else { &ready.source.retry }
    }
}
