//! What can be wrong with a configuration, and how it is told: every problem at once, each with its place.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::Diagnostic;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, and the line in it where that is known.
    File(Arc<Path>, Option<usize>),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, Some(line)) => write!(f, "{}:{line}", file.display()),
            Self::File(file, None) => write!(f, "{}", file.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What is wrong with one setting. Never holds the setting's text: it may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing has this name.
    #[error("unknown {what}{}", hint(.nearest))]
    #[diagnostic(code(config::unknown_key))]
    Unknown {
        /// Key or variable.
        what: &'static str,
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// It is not there.
    #[error("missing; {expected}")]
    #[diagnostic(code(config::missing))]
    Missing {
        /// What should be there.
        expected: String,
    },
    /// It has another type.
    #[error("expected {expected}, found {found}")]
    #[diagnostic(code(config::type_mismatch))]
    Type {
        /// What should be there.
        expected: String,
        /// What is there.
        found: &'static str,
    },
    /// It has a value that it cannot have.
    #[error("{reason}")]
    #[diagnostic(code(config::value))]
    Value {
        /// Why not.
        reason: String,
    },
    /// A part of the tree that this version does not have.
    #[error("not built yet in this version{}", advice(.instead))]
    #[diagnostic(code(config::not_built))]
    NotBuilt {
        /// What to do instead, if there is something.
        instead: Option<&'static str>,
    },
    /// `${NAME}` of a variable that is not set.
    #[error("the environment variable `{name}` is not set; set it, to an empty text if that is meant")]
    #[diagnostic(code(config::unset_variable))]
    Unset {
        /// Its name.
        name: String,
    },
}

fn hint(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

fn advice(text: &Option<&'static str>) -> String {
    text.map(|text| format!("; {text}")).unwrap_or_default()
}

/// One problem, or one thing worth a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place in the tree, as in `target.postgres.batch.size`.
    pub path: String,
    /// Where it was set, if it was.
    pub origin: Option<Origin>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            None => write!(f, "{}: {}", self.path, self.fault),
            Some(origin) if self.path.is_empty() => write!(f, "{origin}: {}", self.fault),
            Some(origin) => write!(f, "{} ({origin}): {}", self.path, self.fault),
        }
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.fault.code()
    }
}

/// Why there is no configuration to work with.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    #[diagnostic(
        code(config::unreadable),
        help(
            "check the path given by `-c`, PGSTREAM_CONFIG or PGSTREAM_TRANSFORMER_RULES_FILE, and the rights of the file"
        )
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file's name says nothing of its form.
    #[error("{}: neither a `.yaml`, a `.yml` nor a `.env` file", path.display())]
    #[diagnostic(code(config::form), help("name the file for what is in it"))]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be parsed.
    #[error("{}: {reason}", path.display())]
    #[diagnostic(code(config::syntax), help("correct the file at the place named"))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// It was read, and is wrong.
    #[error("{} in the configuration", count(problems.len()))]
    #[diagnostic(
        code(config::invalid),
        help("correct them; examples/config.reference.yaml describes every key")
    )]
    Invalid {
        /// All of them.
        #[related]
        problems: Vec<Problem>,
    },
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}
