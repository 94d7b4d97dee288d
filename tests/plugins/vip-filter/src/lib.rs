//! A filter that a user could have written: keeps the rows whose integer column `tier` is at least `min`.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "filter-plugin" });

use exports::pgstream::plugin::about::{self, Description, Kind, Offer, Parameter, Uniqueness};
use exports::pgstream::plugin::filter::{self, GuestRowFilter, Read, Rows, Rule, Verdict};
use pgstream::plugin::data::{Shape, Values};

struct Vip;
struct RowFilter {
    min: i64,
}

impl about::Guest for Vip {
    fn describe() -> Description {
        Description {
            name: "vip-filter".into(),
            version: "0.1.0".into(),
            summary: "Keeps the rows of a tier and above".into(),
            offers: vec![Offer {
                name: "vip".into(),
                summary: "keeps rows whose column tier is at least min; a table without one is kept whole"
                    .into(),
                accepts: vec![],
                uniqueness: Uniqueness::Preserved,
                deterministic: true,
                parameters: vec![Parameter {
                    name: "min".into(),
                    summary: "the lowest tier to keep".into(),
                    kind: Kind::Integer,
                    required: false,
                    dynamic: false,
                    default: Some("1".into()),
                    one_of: vec![],
                }],
            }],
        }
    }
}

impl filter::Guest for Vip {
    type RowFilter = RowFilter;
}

impl GuestRowFilter for RowFilter {
    fn bind(rule: Rule) -> Result<(filter::RowFilter, Verdict), String> {
        let min = match rule.settings.iter().find(|(name, _)| name == "min") {
            Some((_, json)) => serde_json::from_str(json).map_err(|_| "min must be a whole number")?,
            None => 1,
        };
        let verdict = match rule.table.columns.iter().position(|column| column.name == "tier") {
            Some(at)
                if ["smallint", "integer", "bigint"].contains(&rule.table.columns[at].type_name.as_str()) =>
            {
                Verdict::ByRow(vec![Read { at: at as u16, shape: Shape::Ints }])
            }
            Some(at) => {
                return Err(format!("tier must be an integer and is {}", rule.table.columns[at].type_name));
            }
            None => Verdict::Keep,
        };
        Ok((filter::RowFilter::new(RowFilter { min }), verdict))
    }

    fn keep(&self, rows: Rows) -> Result<Vec<u8>, String> {
        let Some(tier) = rows.columns.first() else { return Err("tier did not come".into()) };
        let Values::Ints(values) = &tier.values else { return Err("integers were asked for".into()) };
        let present = |row: usize| tier.states.get(row).is_none_or(|&state| state == 0);
        Ok(values
            .iter()
            .enumerate()
            .map(|(row, &value)| u8::from(present(row) && value >= self.min))
            .collect())
    }
}

export!(Vip);
