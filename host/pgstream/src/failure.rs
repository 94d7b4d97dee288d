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
    /// What goes to stdout.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Print(#[from] sink::stdout::Error),
    /// The source of a snapshot.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Snapshot(#[from] listen::snapshot::Error),
    /// The dump of the source's schema.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Dump(#[from] postgres::DumpError),
    /// The schema of the target.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Restore(#[from] sink::postgres::restore::Error),
    /// The target of a snapshot.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Copy(#[from] sink::postgres::copy::Error),
    /// Some tables could not be copied; the others are.
    #[error("{} could not be copied: {}", if failed.len() == 1 { "a table".to_owned() } else { format!("{} tables", failed.len()) }, failed.join("; "))]
    #[diagnostic(
        code(snapshot::tables),
        help("mend what is wrong with them and run again: what is copied stays, and these are copied again")
    )]
    Tables {
        /// Each with its reason.
        failed: Vec<String>,
    },
    /// The rows that are there were made by other modifiers.
    #[error("the rows on the target were made with other rules or plugins")]
    #[diagnostic(
        code(snapshot::changed_modifiers),
        help(
            "run with those, or start the copy anew (`pgstream destroy` forgets it); `--accept-changed-modifiers` goes on all the same"
        )
    )]
    ChangedModifiers,
    /// Tables that are as they were when they were made.
    #[error(
        "the source's tables were changed while they were copied, and the target has some of its own making"
    )]
    #[diagnostic(
        code(snapshot::changed_tables),
        help(
            "a copy into tables that were there before cannot begin anew by itself: empty the target or drop them there, run `pgstream destroy` and `pgstream init`, then copy again"
        )
    )]
    ChangedTables,
    /// A stream before its copy is complete.
    #[error("the initial copy is not complete")]
    #[diagnostic(
        code(snapshot::incomplete),
        help(
            "run again, with `mode: snapshot_and_replication` where a stream follows: it goes on where it was"
        )
    )]
    Incomplete,
    /// Source and target do not fit together.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The stream ended while it was to stand still for tables that join it.
    #[error("the stream ended meanwhile")]
    #[diagnostic(
        code(pipeline::interrupted),
        help("nothing is to be done: it is tried again once the stream goes on")
    )]
    Interrupted,
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
            Self::Snapshot(error) => error.is_transient(),
            Self::Copy(error) => error.is_transient(),
            Self::Restore(error) => error.is_transient(),
            Self::Interrupted => true,
            Self::Modify(_)
            | Self::Print(_)
            | Self::Dump(_)
            | Self::Checkpoint(_)
            | Self::Tables { .. }
            | Self::ChangedModifiers
            | Self::ChangedTables
            | Self::Incomplete
            | Self::Bug { .. } => false,
        }
    }

    /// Whose patience counts.
    pub(crate) fn retry<'a>(&self, ready: &'a Ready) -> &'a Retry {
        if matches!(self, Self::Sink(_) | Self::Copy(_) | Self::Restore(_)) {
            &ready.target.retry
        } else {
            &ready.source.retry
        }
    }
}
