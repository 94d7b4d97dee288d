//! Identifiers and literals as SQL text.

use event::TableName;

/// An identifier, always quoted: a name is never a keyword and never folded.
#[must_use]
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."table"`.
#[must_use]
pub fn table(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.name))
}

/// A string literal, for commands that take no parameters.
#[must_use]
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    // With a backslash the `E` form is the one that means the same whatever standard_conforming_strings is.
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_its_quotes() {
        assert_eq!(ident("a\"b.c"), "\"a\"\"b.c\"");
        assert_eq!(table(&TableName::new("My", "t")), "\"My\".\"t\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'"), "E'a\\\\'''");
    }
}
