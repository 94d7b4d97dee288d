//! What can end the making of a schema.

use miette::Diagnostic;

/// Why the target does not become like the source.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The target could not be used.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Target(#[from] super::super::Error),
    /// The dump.
    #[error(transparent)]
    #[diagnostic(
        code(sink::restore::archive),
        help(
            "use the pg_dump of a version from 14 to 18; a copy that was begun by another version begins anew after `pgstream destroy`"
        )
    )]
    Archive(#[from] ::postgres::archive::Unreadable),
    /// An object.
    #[error("{kind} {name} cannot be made on the target: {reason}")]
    #[diagnostic(code(sink::restore::object), help("{remedy}"))]
    Object {
        /// What it is, in pg_dump's words.
        kind: String,
        /// Its name.
        name: String,
        /// What the server said, without values.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The copy for people.
    #[error("{path} cannot be written: {reason}")]
    #[diagnostic(code(sink::restore::file), help("give another file (dump_file), or none"))]
    File {
        /// Where.
        path: String,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Whether trying again later, unchanged, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Target(error) => error.is_transient(),
            Self::Archive(_) | Self::Object { .. } | Self::File { .. } => false,
        }
    }
}

impl From<::postgres::Error> for Error {
    fn from(error: ::postgres::Error) -> Self {
        Self::Target(error.into())
    }
}
