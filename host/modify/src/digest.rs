//! A hash of everything that decides what leaves the modifiers: components, settings, rules, key.

use plugin::RootKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::loaded::{Loaded, TableStage};
use crate::rules::{Rules, Transformer};

/// Over canonical JSON: maps by key, rules by table and column.
pub(crate) fn of(loaded: &Loaded, rules: &Rules, root: Option<&RootKey>) -> [u8; 32] {
    let component = |plugin: usize| loaded.running.get(plugin).map(|running| running.plugin.digest_hex());
    let stage = |stage: &TableStage| {
        json!({
            "component": component(stage.plugin),
            "offer": stage.offer,
            "settings": settings(&stage.settings),
            "tables": stage.table_texts,
        })
    };
    let rule = |transformer: &Transformer| {
        json!({
            "component": component(transformer.plugin),
            "offer": transformer.offer.name,
            "settings": settings(&transformer.settings),
            "domain": transformer.domain,
        })
    };
    let mut columns: Vec<Value> = rules
        .tables
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
        .filter_map(|(table, column)| {
            let transformer = column.transformer.as_ref()?;
            Some(json!([table.table.schema, table.table.name, column.column, rule(transformer)]))
        })
        .collect();
    columns.sort_by_key(Value::to_string);
    // Tells one root key from another without giving it away.
    let key = root.map(|root| root.derive("digest").to_vec());
    let whole = json!({
        "injector": loaded.injector.as_ref().map(stage),
        "filters": loaded.filters.iter().map(stage).collect::<Vec<_>>(),
        "columns": columns,
        "key": key,
    });
    Sha256::digest(canonical(whole).to_string()).into()
}

fn settings(settings: &[(String, String)]) -> Value {
    let parsed = settings.iter().map(|(name, value)| {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
        (name.clone(), value)
    });
    Value::Object(parsed.collect())
}

fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, canonical(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(canonical).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
