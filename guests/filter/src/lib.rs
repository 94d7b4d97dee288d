//! The standard filter: which tables go on, by lists of names. It decides once for each version of a table and does
//! no work for a row.

mod lists;
mod pattern;

use settings::{Kind, Parameter, Settings};

/// What `wit-bindgen` makes of the contract.
#[allow(unreachable_pub, unused)]
mod contract {
    wit_bindgen::generate!({ path: "../../wit/v0", world: "filter-plugin" });
}

use contract::exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use contract::exports::pgstream::plugin::filter::{self, GuestRowFilter, Rows, Rule, Verdict};
use lists::Lists;

const OFFER: &str = "tables";

const PARAMETERS: &[Parameter] = &[
    Parameter::optional("include_tables", Kind::TextList, "tables to keep; all others are dropped"),
    Parameter::optional("exclude_tables", Kind::TextList, "tables to drop; not together with include_tables"),
    Parameter::optional(
        "schema_only_tables",
        Kind::TextList,
        "tables whose schema changes go on and whose rows do not",
    ),
];

struct Filter;

/// Nothing is left to do for a row, so nothing is kept.
struct RowFilter;

impl about::Guest for Filter {
    fn describe() -> Description {
        Description {
            name: "filter".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: env!("CARGO_PKG_DESCRIPTION").into(),
            offers: vec![Offer {
                name: OFFER.into(),
                summary: "keeps and drops tables by name: table, schema.table, schema.*, *.table, *.*".into(),
                accepts: Vec::new(),
                uniqueness: Uniqueness::Preserved,
                deterministic: true,
                parameters: PARAMETERS.iter().map(parameter).collect(),
            }],
        }
    }
}

fn parameter(parameter: &Parameter) -> about::Parameter {
    about::Parameter {
        name: parameter.name.into(),
        summary: parameter.summary.into(),
        kind: match parameter.kind {
            Kind::Text => about::Kind::Text,
            Kind::TextList => about::Kind::TextList,
            Kind::Column => about::Kind::Column,
        },
        required: parameter.required,
        dynamic: false,
        default: parameter.default.map(Into::into),
        one_of: parameter.one_of_json(),
    }
}

impl filter::Guest for Filter {
    type RowFilter = RowFilter;
}

impl GuestRowFilter for RowFilter {
    fn bind(rule: Rule) -> Result<(filter::RowFilter, Verdict), String> {
        let verdict = judge(&rule)?;
        Ok((filter::RowFilter::new(RowFilter), verdict))
    }

    fn keep(&self, _: Rows) -> Result<Vec<u8>, String> {
        Err("tables are kept or dropped whole: there is nothing to decide for a row".into())
    }
}

fn judge(rule: &Rule) -> Result<Verdict, String> {
    if rule.offer != OFFER {
        return Err(format!("filter has no offer \"{}\": it has {OFFER}", rule.offer));
    }
    let settings = Settings::read(OFFER, PARAMETERS, &rule.settings)?;
    let lists = Lists::parse(
        settings.text_list("include_tables"),
        settings.text_list("exclude_tables"),
        settings.text_list("schema_only_tables"),
    )?;
    Ok(match lists.judge(&rule.table.schema, &rule.table.name) {
        lists::Verdict::Keep => Verdict::Keep,
        lists::Verdict::Drop => Verdict::Drop,
        lists::Verdict::SchemaOnly => Verdict::SchemaOnly,
    })
}

#[cfg(target_arch = "wasm32")]
contract::export!(Filter with_types_in contract);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pgstream::plugin::data::Relation;

    fn judged(schema: &str, name: &str, settings: &[(&str, &str)]) -> Result<Verdict, String> {
        judge(&Rule {
            offer: OFFER.into(),
            settings: settings.iter().map(|(name, json)| ((*name).into(), (*json).into())).collect(),
            table: Relation {
                oid: 1,
                id: "1".into(),
                schema: schema.into(),
                name: name.into(),
                version: 0,
                columns: Vec::new(),
            },
            targets: Vec::new(),
            key: Vec::new(),
        })
    }

    #[test]
    fn lists_come_as_json() {
        let include = [("include_tables", r#"["users","\"my.schema\".\"a\"\"b\""]"#)];
        assert!(matches!(judged("public", "users", &include), Ok(Verdict::Keep)));
        assert!(matches!(judged("my.schema", "a\"b", &include), Ok(Verdict::Keep)));
        assert!(matches!(judged("public", "orders", &include), Ok(Verdict::Drop)));
        assert!(matches!(judged("public", "orders", &[]), Ok(Verdict::Keep)));
        let schema_only = [("schema_only_tables", r#"["audit.*"]"#)];
        assert!(matches!(judged("audit", "log", &schema_only), Ok(Verdict::SchemaOnly)));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |settings: &[(&str, &str)]| judged("public", "users", settings).err().unwrap();
        assert!(refused(&[("include", "[]")]).contains("unexpected parameter \"include\""));
        assert!(refused(&[("include_tables", "\"users\"")]).contains("must be a list of texts"));
        assert!(refused(&[("exclude_tables", r#"["a.b.c"]"#)]).contains("a.b.c"));
        let both = [("include_tables", r#"["a"]"#), ("exclude_tables", r#"["b"]"#)];
        assert!(refused(&both).contains("cannot be used together"));
    }
}
