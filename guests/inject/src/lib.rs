//! The standard injector: decides once for each version of a table what identifies its rows and which version a row
//! has. It does no work for a row.

mod identity;

use settings::{Kind, Parameter, Settings};

/// What `wit-bindgen` makes of the contract.
#[allow(unreachable_pub, unused)]
mod contract {
    wit_bindgen::generate!({ path: "../../wit/v0", world: "injector-plugin" });
}

use contract::exports::pgstream::plugin::about::{self, Description, Offer, Uniqueness};
use contract::exports::pgstream::plugin::injector::{
    self, Findings, GuestFinder, Packed, Rows, Rule, Version,
};
use contract::pgstream::plugin::data::Relation;

const OFFER: &str = "identity";

const PARAMETERS: &[Parameter] = &[Parameter::optional(
    "version_column",
    Kind::Column,
    "a column whose value grows with each change to a row; without it the commit's position is the version",
)];

struct Inject;

/// Nothing is left to do for a row, so nothing is kept.
struct Finder;

impl about::Guest for Inject {
    fn describe() -> Description {
        Description {
            name: "inject".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: env!("CARGO_PKG_DESCRIPTION").into(),
            offers: vec![Offer {
                name: OFFER.into(),
                summary:
                    "the primary key, else a unique column that is never null, else the replica identity"
                        .into(),
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

impl injector::Guest for Inject {
    type Finder = Finder;
}

impl GuestFinder for Finder {
    fn bind(rule: Rule) -> Result<(injector::Finder, Findings), String> {
        let findings = find(&rule)?;
        Ok((injector::Finder::new(Finder), findings))
    }

    fn identities(&self, _: Rows) -> Result<Packed, String> {
        Err("the identity is made of columns: there is nothing to compute".into())
    }

    fn versions(&self, _: Rows) -> Result<Vec<i64>, String> {
        Err("the version is the commit's position or a column: there is nothing to compute".into())
    }
}

fn find(rule: &Rule) -> Result<Findings, String> {
    if rule.offer != OFFER {
        return Err(format!("inject has no offer \"{}\": it has {OFFER}", rule.offer));
    }
    let settings = Settings::read(OFFER, PARAMETERS, &rule.settings)?;
    let columns = &rule.table.columns;
    let version = match settings.text("version_column") {
        None => Version::CommitLsn,
        Some(name) => Version::Column(version_column(&rule.table, name)?),
    };
    Ok(Findings { identity: identity::of(columns), version })
}

fn version_column(table: &Relation, name: &str) -> Result<u16, String> {
    // int8, int2, int4, date, timestamp, timestamptz: what can be had as a whole number.
    const NUMBERS: [u32; 6] = [20, 21, 23, 1082, 1114, 1184];
    let Some((at, column)) = (0..).zip(&table.columns).find(|(_, column)| column.name == name) else {
        return Err(format!(
            "version_column: table {}.{} has no column \"{name}\"",
            table.schema, table.name
        ));
    };
    if !NUMBERS.contains(&column.type_oid) {
        return Err(format!(
            "version_column cannot be \"{name}\" of type {}: it takes smallint, integer, bigint, date and timestamp",
            column.type_name
        ));
    }
    Ok(at)
}

#[cfg(target_arch = "wasm32")]
contract::export!(Inject with_types_in contract);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pgstream::plugin::data::ColumnInfo;

    fn rule(settings: &[(&str, &str)]) -> Rule {
        let column = |name: &str, type_name: &str, type_oid, primary: bool| ColumnInfo {
            name: name.into(),
            id: name.into(),
            type_name: type_name.into(),
            type_oid,
            nullable: !primary,
            primary,
            identity: primary,
            unique: primary,
            generated: false,
        };
        Rule {
            offer: OFFER.into(),
            settings: settings.iter().map(|(name, json)| ((*name).into(), (*json).into())).collect(),
            table: Relation {
                oid: 1,
                id: "1".into(),
                schema: "public".into(),
                name: "t".into(),
                version: 0,
                columns: vec![
                    column("id", "bigint", 20, true),
                    column("changed", "date", 1082, false),
                    column("note", "text", 25, false),
                ],
            },
            targets: Vec::new(),
            key: Vec::new(),
        }
    }

    #[test]
    fn the_version_is_the_commit_unless_a_column_is_named() {
        assert!(matches!(find(&rule(&[])).unwrap().version, Version::CommitLsn));
        let findings = find(&rule(&[("version_column", "\"changed\"")])).unwrap();
        assert!(matches!(findings.version, Version::Column(1)));
        assert!(matches!(findings.identity, injector::Identity::Columns(at) if at == [0]));
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let refused = |settings: &[(&str, &str)]| find(&rule(settings)).err().unwrap();
        assert_eq!(
            refused(&[("version_column", "\"no\"")]),
            "version_column: table public.t has no column \"no\""
        );
        assert!(refused(&[("version_column", "\"note\"")]).contains("cannot be \"note\" of type text"));
        assert!(refused(&[("version", "\"changed\"")]).contains("unexpected parameter \"version\""));
        let other = Rule { offer: "identities".into(), ..rule(&[]) };
        assert_eq!(find(&other).err().unwrap(), "inject has no offer \"identities\": it has identity");
    }
}
