//! The three lists of tables, and which of them wins: exclude over an exact include, that over schema-only, that over
//! an include by wildcard.

use crate::pattern::{Match, Pattern};

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Drop,
    SchemaOnly,
}

pub(crate) struct Lists {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    schema_only: Vec<Pattern>,
}

impl Lists {
    pub(crate) fn parse(
        include: &[String],
        exclude: &[String],
        schema_only: &[String],
    ) -> Result<Self, String> {
        if !include.is_empty() && !exclude.is_empty() {
            return Err(
                "include_tables and exclude_tables cannot be used together: leave one of them out".into()
            );
        }
        let parse = |name: &str, list: &[String]| -> Result<Vec<Pattern>, String> {
            list.iter().map(|text| Pattern::parse(text).map_err(|cause| format!("{name}: {cause}"))).collect()
        };
        Ok(Self {
            include: parse("include_tables", include)?,
            exclude: parse("exclude_tables", exclude)?,
            schema_only: parse("schema_only_tables", schema_only)?,
        })
    }

    pub(crate) fn judge(&self, schema: &str, table: &str) -> Verdict {
        let best = |list: &[Pattern]| list.iter().filter_map(|pattern| pattern.matches(schema, table)).max();
        if best(&self.exclude).is_some() {
            return Verdict::Drop;
        }
        let included = best(&self.include);
        if included == Some(Match::Exact) {
            return Verdict::Keep;
        }
        if best(&self.schema_only).is_some() {
            return Verdict::SchemaOnly;
        }
        if included.is_some() || self.include.is_empty() { Verdict::Keep } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(include: &[&str], exclude: &[&str], schema_only: &[&str], schema: &str, table: &str) -> Verdict {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Lists::parse(&owned(include), &owned(exclude), &owned(schema_only)).unwrap().judge(schema, table)
    }

    #[test]
    fn without_an_include_list_everything_that_is_not_listed_is_kept() {
        assert_eq!(judge(&[], &[], &[], "public", "users"), Verdict::Keep);
        assert_eq!(judge(&[], &["orders"], &["log"], "public", "users"), Verdict::Keep);
        assert_eq!(judge(&[], &["orders"], &["log"], "public", "log"), Verdict::SchemaOnly);
    }

    #[test]
    fn with_one_everything_that_is_not_listed_is_dropped() {
        assert_eq!(judge(&["users"], &[], &[], "public", "users"), Verdict::Keep);
        assert_eq!(judge(&["users"], &[], &[], "other", "users"), Verdict::Drop);
        assert_eq!(judge(&["users"], &[], &["log"], "public", "log"), Verdict::SchemaOnly);
    }

    #[test]
    fn exclude_wins_over_schema_only() {
        assert_eq!(judge(&[], &["log"], &["log"], "public", "log"), Verdict::Drop);
        assert_eq!(judge(&[], &["*.*"], &["log"], "public", "log"), Verdict::Drop);
    }

    #[test]
    fn an_exact_include_wins_over_schema_only_and_that_over_a_wildcard_include() {
        assert_eq!(judge(&["log"], &[], &["log"], "public", "log"), Verdict::Keep);
        assert_eq!(judge(&["log"], &[], &["*.*"], "public", "log"), Verdict::Keep);
        assert_eq!(judge(&["public.*"], &[], &["log"], "public", "log"), Verdict::SchemaOnly);
        assert_eq!(judge(&["public.*"], &[], &["*.log"], "public", "log"), Verdict::SchemaOnly);
        assert_eq!(judge(&["public.*", "log"], &[], &["log"], "public", "log"), Verdict::Keep);
    }

    #[test]
    fn a_malformed_pattern_is_named_with_its_list() {
        let refused = Lists::parse(&[], &[], &["a.b.c".to_owned()]).err().unwrap();
        assert_eq!(
            refused,
            "schema_only_tables: \"a.b.c\" has more than two parts; write schema.table, and quote a name with a dot in it"
        );
    }
}
