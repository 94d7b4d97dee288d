//! Patterns for tables in the configuration: `users`, `app.*`, `*.*`, `"My App"."a.b"`.

use crate::TableName;

/// A pattern; a part is a name in which `*` stands for any characters, or a quoted name as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePattern {
    schema: Part,
    name: Part,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Exact(String),
    Glob(String),
}

impl TablePattern {
    /// `None` for what is no pattern. Without a schema, `public` is meant, and `*` alone is every table.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Self::parse("*.*");
        }
        let (first, rest) = part(text)?;
        match rest.strip_prefix('.') {
            Some(rest) => {
                let (second, end) = part(rest)?;
                end.is_empty().then_some(Self { schema: first, name: second })
            }
            None => rest.is_empty().then_some(Self { schema: Part::Exact("public".into()), name: first }),
        }
    }

    /// Whether it stands for the table.
    #[must_use]
    pub fn matches(&self, table: &TableName) -> bool {
        self.schema.matches(&table.schema) && self.name.matches(&table.name)
    }

    /// Whether it names one table.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.exact().is_some()
    }

    /// The one table that it names, if it holds no `*`.
    #[must_use]
    pub fn exact(&self) -> Option<TableName> {
        match (&self.schema, &self.name) {
            (Part::Exact(schema), Part::Exact(name)) => Some(TableName::new(schema, name)),
            (Part::Glob(_), _) | (_, Part::Glob(_)) => None,
        }
    }
}

/// One part and what comes after it.
fn part(text: &str) -> Option<(Part, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let (before, after) = rest.split_once('"')?;
            name.push_str(before);
            match after.strip_prefix('"') {
                Some(after) => {
                    name.push('"');
                    rest = after;
                }
                None => return (!name.is_empty()).then_some((Part::Exact(name), after)),
            }
        }
    }
    let end = text.find('.').unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() || name.contains('"') {
        return None;
    }
    Some((if name.contains('*') { Part::Glob(name.into()) } else { Part::Exact(name.into()) }, rest))
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Glob(glob) => matches_glob(glob, name),
        }
    }
}

/// Each piece between two `*` must come in turn; the first at the start, the last at the end.
fn matches_glob(glob: &str, name: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else { return glob == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        match name.split_once(piece) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, schema: &str, name: &str) -> bool {
        TablePattern::parse(pattern).unwrap().matches(&TableName::new(schema, name))
    }

    #[test]
    fn wildcards_and_quotes() {
        assert!(matches("*", "any", "thing"));
        assert!(matches("users", "public", "users") && !matches("users", "app", "users"));
        assert!(matches("app.*", "app", "users") && !matches("app.*", "public", "users"));
        assert!(matches("*.log_*", "app", "log_2026") && !matches("*.log_*", "app", "blog"));
        assert!(matches("public.a*b*c", "public", "a1b2c") && !matches("public.a*b*c", "public", "acb"));
        assert!(matches("\"My App\".\"a.\"\"b\"", "My App", "a.\"b"));
        assert!(!matches("app.\"*\"", "app", "users"));
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", ".", "a.", ".a", "a.b.c", "\"a", "a\"b", "\"\"", "\"a\"b"] {
            assert!(TablePattern::parse(bad).is_none(), "{bad}");
        }
    }
}
