//! Which tables are copied, by their names.

use event::{TableName, TablePattern};

use super::Error;

/// What the lists of the configuration say. Of two that name a table, the first of these wins: excluded, wanted by its
/// full name, schema only, wanted by a pattern.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    tables: Vec<TablePattern>,
    excluded: Vec<TablePattern>,
    schema_only: Vec<TablePattern>,
}

impl Selection {
    /// From patterns as people write them. No `tables` at all means every table.
    ///
    /// # Errors
    /// [`Error::Pattern`] for the first that is none.
    pub fn parse(tables: &[String], excluded: &[String], schema_only: &[String]) -> Result<Self, Error> {
        let parse = |texts: &[String]| -> Result<Vec<TablePattern>, Error> {
            let pattern = |text: &String| {
                TablePattern::parse(text).ok_or_else(|| Error::Pattern { pattern: text.clone() })
            };
            texts.iter().map(pattern).collect()
        };
        let mut selection =
            Self { tables: parse(tables)?, excluded: parse(excluded)?, schema_only: parse(schema_only)? };
        if selection.tables.is_empty() {
            selection.tables.extend(TablePattern::parse("*"));
        }
        Ok(selection)
    }

    /// Whether nothing was chosen: every table is wanted.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let all = TableName::new("*", "*");
        self.tables.iter().any(|pattern| !pattern.is_exact() && pattern.matches(&all))
    }

    /// Whether the rows of a table are wanted.
    #[must_use]
    pub fn wants_rows(&self, table: &TableName) -> bool {
        let named = self.tables.iter().any(|pattern| pattern.is_exact() && pattern.matches(table));
        let by_pattern = !any(&self.schema_only, table) && any(&self.tables, table);
        !any(&self.excluded, table) && (named || by_pattern)
    }

    /// Whether the table itself is wanted, with or without rows.
    #[must_use]
    pub fn wants_table(&self, table: &TableName) -> bool {
        !any(&self.excluded, table) && (any(&self.tables, table) || any(&self.schema_only, table))
    }

    /// Tables that are asked for by name.
    pub(crate) fn named(&self) -> impl Iterator<Item = TableName> + '_ {
        self.tables.iter().chain(&self.schema_only).filter_map(TablePattern::exact)
    }
}

fn any(patterns: &[TablePattern], table: &TableName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excluded_wins_over_named_over_schema_only_over_patterns() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selection = Selection::parse(
            &texts(&["app.*", "app.log", "users"]),
            &texts(&["*.secret"]),
            &texts(&["app.log", "app.cache", "other.t"]),
        )
        .unwrap();
        for (schema, name, table, rows) in [
            ("app", "orders", true, true),
            ("app", "log", true, true),
            ("app", "cache", true, false),
            ("app", "secret", false, false),
            ("public", "users", true, true),
            ("public", "others", false, false),
            ("other", "t", true, false),
        ] {
            let of = TableName::new(schema, name);
            assert_eq!((selection.wants_table(&of), selection.wants_rows(&of)), (table, rows), "{of}");
        }
        let all = Selection::parse(&[], &[], &[]).unwrap();
        assert!(all.wants_rows(&TableName::new("any", "thing")));
        assert!(matches!(Selection::parse(&texts(&["a.b.c"]), &[], &[]), Err(Error::Pattern { .. })));
    }
}
