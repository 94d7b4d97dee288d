//! Grants: what the sandbox of one plugin opens. Nothing is open without one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One opening in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The system's clock in place of the commit time.
    Clock,
    /// The system's random numbers in place of seeded ones.
    Random,
    /// One environment variable.
    Env(String),
    /// One directory, read only, under its own path.
    Read(PathBuf),
}

/// The text is not a grant.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("`{0}` is not a grant")]
#[diagnostic(code(plugin::grant), help("grants are `clock`, `random`, `env:NAME` and `read:/directory`"))]
pub struct ParseGrantError(String);

impl FromStr for Grant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let grant = match text.split_once(':') {
            None if text == "clock" => Self::Clock,
            None if text == "random" => Self::Random,
            Some(("env", name)) if !name.is_empty() => Self::Env(name.into()),
            Some(("read", path)) if path.starts_with('/') => Self::Read(path.into()),
            _ => return Err(ParseGrantError(text.into())),
        };
        Ok(grant)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock => f.write_str("clock"),
            Self::Random => f.write_str("random"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Read(path) => write!(f, "read:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_back_as_they_are_printed() {
        for text in ["clock", "random", "env:MASK_KEY", "read:/etc/lists"] {
            assert_eq!(text.parse::<Grant>().unwrap().to_string(), text);
        }
        for bad in ["", "Clock", "env:", "read:", "read:relative", "write:/tmp", "net:example.com"] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }
}
