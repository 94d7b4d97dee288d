//! What the modifiers will do with each table: the answer of a bind, for people and for `check`.

use std::collections::HashSet;

use event::TableName;
use plugin::{IdentityRule, Running};

use crate::OnError;
use crate::rules::Rules;
use crate::table::{Fate, Table};

/// The plugins and the tables of a bound chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Every loaded plugin: name, what it is, digest, origin.
    pub plugins: Vec<PluginReport>,
    /// Every bound table.
    pub tables: Vec<TableReport>,
    /// What is allowed but should be known.
    pub warnings: Vec<String>,
}

/// One plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginReport {
    /// The name that it goes by.
    pub name: String,
    /// `mask 0.3.1 (pgstream:plugin@0.1.0, transformer)`.
    pub what: String,
    /// SHA-256 of the component, in hexadecimal.
    pub sha256: String,
    /// File, or name of the standard plugin.
    pub origin: String,
}

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFate {
    /// All rows go on.
    Keep,
    /// Nothing goes on.
    Drop,
    /// Schema changes go on, rows do not.
    SchemaOnly,
    /// A filter is asked for each row.
    ByRow,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReport {
    /// The table.
    pub table: TableName,
    /// What becomes of it.
    pub fate: TableFate,
    /// Columns that identify a row, as the injector found them; empty when it found none, or was not asked.
    pub identity: Vec<String>,
    /// Column → offer that transforms it.
    pub transformed: Vec<(String, String)>,
}

impl Report {
    /// Tables whose rows never go on.
    #[must_use]
    pub fn dropped(&self) -> HashSet<TableName> {
        let dropped = |table: &&TableReport| matches!(table.fate, TableFate::Drop | TableFate::SchemaOnly);
        self.tables.iter().filter(dropped).map(|table| table.table.clone()).collect()
    }

    pub(crate) fn of<'a>(
        running: &[Running],
        tables: impl Iterator<Item = &'a Table>,
        rules: &Rules,
    ) -> Self {
        let plugins = running.iter().map(|running| PluginReport {
            name: running.name().into(),
            what: running.plugin.to_string(),
            sha256: running.plugin.digest_hex(),
            origin: running.plugin.origin.clone(),
        });
        let mut report =
            Self { plugins: plugins.collect(), tables: tables.map(of_table).collect(), warnings: vec![] };
        if rules.on_error == OnError::Pass {
            report.warnings.push(
                "`on_error: pass-through`: a value that a transformer cannot handle leaves as it is".into(),
            );
        }
        for rules in &rules.tables {
            let table = report.tables.iter().find(|table| table.table == rules.table);
            if table.is_some_and(|table| matches!(table.fate, TableFate::Drop | TableFate::SchemaOnly)) {
                report
                    .warnings
                    .push(format!("{}: there are rules for this table, but a filter drops it", rules.table));
            }
        }
        report
    }
}

fn of_table(table: &Table) -> TableReport {
    let columns = |at: &usize| table.relation.columns.get(*at).map(|column| column.name.clone());
    let identity = match table.finder.as_ref().and_then(|finder| finder.identity.as_ref()) {
        Some(IdentityRule::Columns(at)) => at.iter().filter_map(columns).collect(),
        Some(IdentityRule::None | IdentityRule::Computed(_)) | None => Vec::new(),
    };
    TableReport {
        table: table.relation.name.clone(),
        fate: match table.fate {
            Fate::Keep => TableFate::Keep,
            Fate::Drop => TableFate::Drop,
            Fate::SchemaOnly => TableFate::SchemaOnly,
            Fate::ByRow(_) => TableFate::ByRow,
        },
        identity,
        transformed: table.transforms.iter().map(|rule| (rule.column.clone(), rule.offer.clone())).collect(),
    }
}
