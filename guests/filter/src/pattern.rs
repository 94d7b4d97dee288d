//! One entry of a list of tables: `table` (of schema public), `schema.table`, and `*` for a whole part.
//!
//! A name in double quotes is taken as it stands, dots and `*` included, with `""` for a quote, as in SQL. A name
//! without quotes is taken as it stands too, not folded to lower case: so `public.Users` is the table `"Users"`.

/// How a table was matched; an exact match is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Match {
    Wildcard,
    Exact,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Any,
    Name(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    schema: Part,
    table: Part,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |cause: &str| Err(format!("\"{text}\" {cause}"));
        let mut parts = Vec::with_capacity(2);
        let mut rest = text.trim();
        loop {
            let (part, after) = match part(rest) {
                Ok(found) => found,
                Err(cause) => return wrong(cause),
            };
            parts.push(part);
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => break,
                None => {
                    return wrong(
                        "has text after a closing quote; a quote inside a quoted name is written twice",
                    );
                }
            }
        }
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(table), None, None) => Ok(Self { schema: Part::Name("public".into()), table }),
            (Some(schema), Some(table), None) => Ok(Self { schema, table }),
            _ => wrong("has more than two parts; write schema.table, and quote a name with a dot in it"),
        }
    }

    pub(crate) fn matches(&self, schema: &str, table: &str) -> Option<Match> {
        let one = |part: &Part, name: &str| match part {
            Part::Any => Some(Match::Wildcard),
            Part::Name(own) if own == name => Some(Match::Exact),
            Part::Name(_) => None,
        };
        Some(one(&self.schema, schema)?.min(one(&self.table, table)?))
    }
}

/// The part that `text` starts with, and what comes after it.
fn part(text: &str) -> Result<(Part, &str), &'static str> {
    const EMPTY: &str = "has an empty name";
    if let Some(quoted) = text.strip_prefix('"') {
        let mut name = String::new();
        let mut rest = quoted;
        loop {
            let Some((before, after)) = rest.split_once('"') else {
                return Err("has a quote that is not closed");
            };
            name.push_str(before);
            match after.strip_prefix('"') {
                Some(next) => {
                    name.push('"');
                    rest = next;
                }
                None if name.is_empty() => return Err(EMPTY),
                None => return Ok((Part::Name(name), after)),
            }
        }
    }
    let (name, after) = text.split_at(text.find('.').unwrap_or(text.len()));
    match name {
        "" => Err(EMPTY),
        "*" => Ok((Part::Any, after)),
        _ if name.contains('"') => Err("has a quote inside a name; quote the whole name"),
        _ if name.contains('*') => {
            Err("has a * inside a name; it stands only for a whole part, as in schema.*")
        }
        _ => Ok((Part::Name(name.into()), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, schema: &str, table: &str) -> Option<Match> {
        Pattern::parse(pattern).unwrap().matches(schema, table)
    }

    #[test]
    fn a_lone_table_is_one_of_schema_public() {
        assert_eq!(matched("users", "public", "users"), Some(Match::Exact));
        assert_eq!(matched("users", "app", "users"), None);
        assert_eq!(matched("*", "public", "users"), Some(Match::Wildcard));
        assert_eq!(matched("*", "app", "users"), None);
    }

    #[test]
    fn a_star_is_a_whole_part() {
        assert_eq!(matched("app.*", "app", "users"), Some(Match::Wildcard));
        assert_eq!(matched("app.*", "public", "users"), None);
        assert_eq!(matched("*.users", "app", "users"), Some(Match::Wildcard));
        assert_eq!(matched("*.users", "app", "orders"), None);
        assert_eq!(matched("*.*", "app", "orders"), Some(Match::Wildcard));
    }

    #[test]
    fn quoted_names_are_taken_as_they_stand() {
        assert_eq!(matched(r#""my.schema"."a.b""#, "my.schema", "a.b"), Some(Match::Exact));
        assert_eq!(matched(r#"app."say ""hi""""#, "app", r#"say "hi""#), Some(Match::Exact));
        assert_eq!(matched(r#"app."*""#, "app", "*"), Some(Match::Exact));
        assert_eq!(matched(r#"app."*""#, "app", "users"), None);
        assert_eq!(matched(r#"*."Users""#, "app", "Users"), Some(Match::Wildcard));
        assert_eq!(matched("app.Users", "app", "Users"), Some(Match::Exact), "no folding");
        assert_eq!(matched("app.Users", "app", "users"), None);
        assert_eq!(matched("  über.tisch ", "über", "tisch"), Some(Match::Exact));
    }

    #[test]
    fn what_is_malformed_is_refused_with_the_pattern() {
        for (pattern, cause) in [
            ("", "empty name"),
            ("  ", "empty name"),
            ("app.", "empty name"),
            (".users", "empty name"),
            (r#"app."""#, "empty name"),
            ("a.b.c", "more than two parts"),
            ("app.user*", "a * inside a name"),
            (r#"app."users"#, "not closed"),
            (r#"app."users"x"#, "after a closing quote"),
            (r#"app.us"ers"#, "a quote inside a name"),
        ] {
            let refused = Pattern::parse(pattern).unwrap_err();
            assert!(refused.contains(cause) && refused.contains(pattern), "{pattern}: {refused}");
        }
    }
}
