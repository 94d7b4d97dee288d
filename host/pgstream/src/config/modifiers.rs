//! Reads `modifiers`: injector, filter, transformation rules.

use std::collections::HashMap;

use modify::{ColumnRule, Filter, Injector, OnError, TableMode, TableRule, Transformations, ValidationMode};

use super::problem::Fault;
use super::section::Section;

/// Reads the section `modifiers`, apart from plugins and keys.
pub(super) fn read(root: &mut Section<'_>, source: Option<&postgres::Url>) -> modify::Options {
    root.section("modifiers", |modifiers| {
        modifiers.not_built(&["sanitize"]);
        modify::Options {
            injector: modifiers.section("injector", |injector| read_injector(injector, source)),
            filter: modifiers.optional("filter", read_filter),
            transformations: modifiers.optional("transformations", read_transformations),
            ..modify::Options::default()
        }
    })
}

fn read_injector(section: &mut Section<'_>, source: Option<&postgres::Url>) -> Option<Injector> {
    if let Some(url) = section.text("source_url")
        && source.is_some_and(|source| postgres::Url::parse(&url).as_ref() != Ok(source))
    {
        let instead = Some("the injector knows the source's tables from the stream: leave the key out");
        section.problem("source_url", Fault::NotBuilt { instead });
    }
    let version_column = section.text("version_column");
    section.flag("enabled").unwrap_or(false).then_some(Injector { version_column })
}

fn read_filter(section: &mut Section<'_>) -> Filter {
    let include = section.texts("include_tables");
    let exclude = section.texts("exclude_tables");
    if !include.is_empty() && !exclude.is_empty() {
        section
            .refuse("exclude_tables", "stands beside include_tables, and only one of the two may be given");
    }
    Filter { include, exclude, schema_only: section.texts("schema_only_tables") }
}

fn read_transformations(section: &mut Section<'_>) -> Transformations {
    section.not_built(&["infer_from_security_labels", "dump_inferred_rules"]);
    let modes = [
        ("relaxed", ValidationMode::Relaxed),
        ("strict", ValidationMode::Strict),
        ("table_level", ValidationMode::TableLevel),
    ];
    let validation_mode = section.choice("validation_mode", &modes).unwrap_or_default();
    let on_error = read_on_error(section);
    let mut seen = HashMap::new();
    let tables = section.each("table_transformers", |table| {
        let rules = read_table(table);
        if let Some(rules) = &rules {
            table.refuse_twice(&mut seen, (rules.schema.clone(), rules.table.clone()), "table");
        }
        rules
    });
    Transformations { validation_mode, on_error, tables: tables.into_iter().flatten().collect() }
}

/// Our words and the original's; the original's default was `null`, which loses data in silence.
fn read_on_error(section: &mut Section<'_>) -> OnError {
    let words = [
        ("stop", Some(OnError::Stop)),
        ("null", Some(OnError::Null)),
        ("drop", Some(OnError::Drop)),
        ("pass", Some(OnError::Pass)),
        ("fail", Some(OnError::Stop)),
        ("pass-through", Some(OnError::Pass)),
        ("dead-letter", None),
        ("dead_letter", None),
    ];
    match section.choice("on_error", &words) {
        Some(Some(on_error)) => {
            if on_error == OnError::Pass {
                section.warn("on_error", "a value whose rule fails goes on unmasked");
            }
            on_error
        }
        Some(None) => {
            section.problem("on_error", Fault::NotBuilt { instead: Some("use stop, null or drop") });
            OnError::Stop
        }
        None => OnError::Stop,
    }
}

fn read_table(section: &mut Section<'_>) -> Option<TableRule> {
    let table = section.required("table", "the table's name");
    let schema = section.text("schema").unwrap_or_else(|| "public".to_owned());
    let modes = [("relaxed", TableMode::Relaxed), ("strict", TableMode::Strict)];
    let validation_mode = section.choice("validation_mode", &modes);
    let columns =
        section.named("column_transformers", |column, section| (column.to_owned(), read_column(section)));
    Some(TableRule { schema, table: table?, validation_mode, columns })
}

fn read_column(section: &mut Section<'_>) -> ColumnRule {
    let dynamic_parameters = section.named("dynamic_parameters", |parameter, dynamic| {
        Some((parameter.to_owned(), dynamic.required("column", "the column to read it from")?))
    });
    ColumnRule {
        // A column without a transformer goes on as it is: so strict mode can list it.
        name: section.text("name").unwrap_or_default(),
        parameters: section.object("parameters"),
        dynamic_parameters: dynamic_parameters.into_iter().flatten().collect(),
        allow_uniqueness_loss: section.flag("allow_uniqueness_loss").unwrap_or(false),
        domain: section.text("domain").filter(|domain| !domain.is_empty()),
    }
}
