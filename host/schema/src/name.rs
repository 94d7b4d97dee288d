//! Names of objects, quoted.

use std::fmt;

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// The name of an object in a schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    /// The schema.
    pub schema: String,
    /// The name in it.
    pub name: String,
}

impl Name {
    /// A name in a schema.
    #[must_use]
    pub fn new(schema: &str, name: &str) -> Self {
        Self { schema: schema.to_owned(), name: name.to_owned() }
    }
}

/// Quoted, with the schema.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", escape_identifier(&self.schema), escape_identifier(&self.name))
    }
}

/// A quoted identifier.
pub(crate) fn ident(name: &str) -> String {
    escape_identifier(name)
}

/// A quoted text.
pub(crate) fn literal(text: &str) -> String {
    // A text with a backslash comes with a space before its `E`.
    escape_literal(text).trim_start().to_owned()
}

/// `NULL` or a quoted text.
pub(crate) fn nullable(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), literal)
}
