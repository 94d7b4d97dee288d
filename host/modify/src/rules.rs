//! The rules of the configuration with their transformers found and their parameters checked.

use std::collections::BTreeSet;

use event::TableName;
use plugin::ParameterKind;

use crate::loaded::Loaded;
use crate::{ColumnRule, OnError, Problem, TableMode, Transformations, ValidationMode, parameters};

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) tables: Vec<TableRules>,
    pub(crate) on_error: OnError,
    /// Tables without rules are refused.
    pub(crate) all_tables: bool,
    /// Tables without rules may not change.
    pub(crate) freeze_unlisted: bool,
}

/// The rules of one table.
#[derive(Debug)]
pub(crate) struct TableRules {
    pub(crate) table: TableName,
    /// Every column must have a rule.
    pub(crate) strict: bool,
    pub(crate) columns: Vec<Rule>,
}

/// The rule of one column.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) column: String,
    /// `None`: left alone on purpose.
    pub(crate) transformer: Option<Transformer>,
}

/// What a rule does.
#[derive(Debug)]
pub(crate) struct Transformer {
    /// Place in [`Loaded::running`].
    pub(crate) plugin: usize,
    pub(crate) offer: plugin::Offer,
    pub(crate) settings: Vec<(String, String)>,
    /// Columns that parameters are read from.
    pub(crate) reads: Vec<String>,
    pub(crate) allow_uniqueness_loss: bool,
    pub(crate) domain: Option<String>,
}

impl Rules {
    pub(crate) fn resolve(options: &Transformations, loaded: &Loaded, problems: &mut Vec<Problem>) -> Self {
        if options.on_error == OnError::DeadLetter {
            problems.push(Problem::DeadLetter);
        }
        let mut rules = Self {
            tables: Vec::new(),
            on_error: options.on_error,
            all_tables: options.validation_mode == ValidationMode::Strict,
            freeze_unlisted: options.validation_mode == ValidationMode::TableLevel,
        };
        let mut seen = BTreeSet::new();
        for table in &options.tables {
            let name = TableName::new(&table.schema, &table.table);
            let strict = mode(&name, options.validation_mode, table.validation_mode, problems);
            let mut columns = Vec::new();
            for (column, rule) in &table.columns {
                let place = place(&name, column);
                if !seen.insert(place.clone()) {
                    problems.push(Problem::TwoRules { place: place.clone() });
                }
                let transformer = if rule.leaves_alone() {
                    None
                } else {
                    match loaded.transformer(&place, &rule.name) {
                        Ok(found) => Some(Transformer {
                            plugin: found.plugin,
                            settings: parameters::settings(
                                &place,
                                found.offer,
                                &rule.parameters,
                                &rule.dynamic_parameters,
                                problems,
                            ),
                            offer: found.offer.clone(),
                            reads: columns_read(found.offer, rule),
                            allow_uniqueness_loss: rule.allow_uniqueness_loss,
                            domain: rule.domain.clone(),
                        }),
                        Err(problem) => {
                            problems.push(problem);
                            continue;
                        }
                    }
                };
                columns.push(Rule { column: column.clone(), transformer });
            }
            // One table may be listed twice, half of its columns each time.
            match rules.tables.iter_mut().find(|other| other.table == name) {
                Some(other) => {
                    other.strict |= strict;
                    other.columns.extend(columns);
                }
                None => rules.tables.push(TableRules { table: name, strict, columns }),
            }
        }
        rules
    }

    pub(crate) fn of(&self, table: &TableName) -> Option<&TableRules> {
        self.tables.iter().find(|rules| rules.table == *table)
    }
}

/// Columns that the rule names in its parameters.
fn columns_read(offer: &plugin::Offer, rule: &ColumnRule) -> Vec<String> {
    let kinds = offer.parameters.iter().filter(|parameter| parameter.kind == ParameterKind::Column);
    let named = kinds.filter_map(|parameter| rule.parameters.get(&parameter.name)?.as_str());
    let dynamic = rule.dynamic_parameters.iter().map(|(_, column)| column.as_str());
    named.chain(dynamic).map(ToOwned::to_owned).collect()
}

fn mode(
    table: &TableName,
    whole: ValidationMode,
    own: Option<TableMode>,
    problems: &mut Vec<Problem>,
) -> bool {
    let mut wrong = |reason| problems.push(Problem::TableMode { table: table.to_string(), reason });
    match (whole, own) {
        (ValidationMode::TableLevel, None) => wrong("it has no `validation_mode`"),
        (ValidationMode::Relaxed | ValidationMode::Strict, Some(_)) => {
            wrong("it has a `validation_mode`, but the whole is not `table_level`");
        }
        (ValidationMode::TableLevel, Some(own)) => return own == TableMode::Strict,
        (ValidationMode::Relaxed | ValidationMode::Strict, None) => {}
    }
    whole == ValidationMode::Strict
}

/// A column, for people: `public.users.email`, each part quoted where SQL would need it.
pub(crate) fn place(table: &TableName, column: &str) -> String {
    let quoted = TableName::new("t", column).to_string();
    format!("{table}{}", quoted.strip_prefix('t').unwrap_or_default())
}
