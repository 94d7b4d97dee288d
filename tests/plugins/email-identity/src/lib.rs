//! An injector that a user could have written: a row is identified by a column of the user's choice.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "injector-plugin" });

use exports::pgstream::plugin::about::{self, Description, Kind, Offer, Parameter, Uniqueness};
use exports::pgstream::plugin::injector::{
    self, Findings, GuestFinder, Identity, Packed, Rows, Rule, Version,
};

struct EmailIdentity;
struct Finder;

impl about::Guest for EmailIdentity {
    fn describe() -> Description {
        Description {
            name: "email-identity".into(),
            version: "0.1.0".into(),
            summary: "Identifies rows by a column of choice".into(),
            offers: vec![Offer {
                name: "by-column".into(),
                summary: "the column named by the setting; a table without it has no identity".into(),
                accepts: vec![],
                uniqueness: Uniqueness::Preserved,
                deterministic: true,
                parameters: vec![Parameter {
                    name: "column".into(),
                    summary: "the column that identifies a row".into(),
                    kind: Kind::Text,
                    required: false,
                    dynamic: false,
                    default: Some("\"email\"".into()),
                    one_of: vec![],
                }],
            }],
        }
    }
}

impl injector::Guest for EmailIdentity {
    type Finder = Finder;
}

impl GuestFinder for Finder {
    fn bind(rule: Rule) -> Result<(injector::Finder, Findings), String> {
        let name = match rule.settings.iter().find(|(name, _)| name == "column") {
            Some((_, json)) => {
                serde_json::from_str(json).map_err(|_| "column must be the name of a column")?
            }
            None => "email".to_owned(),
        };
        let identity = match rule.table.columns.iter().position(|column| column.name == name) {
            Some(at) => Identity::Columns(vec![at as u16]),
            None => Identity::None,
        };
        Ok((injector::Finder::new(Finder), Findings { identity, version: Version::CommitLsn }))
    }

    fn identities(&self, _: Rows) -> Result<Packed, String> {
        Err("columns are the identity".into())
    }

    fn versions(&self, _: Rows) -> Result<Vec<i64>, String> {
        Err("the commit is the version".into())
    }
}

export!(EmailIdentity);
