//! An injector that does harm: it computes identities and versions, of the wrong number or kind on the rows whose first
//! column has the text of the setting.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "injector-plugin" });

use exports::pgstream::plugin::about::{self, Description, Kind, Offer, Parameter, Uniqueness};
use exports::pgstream::plugin::injector::{
    self, Finder, Findings, GuestFinder, Identity, Read, Rows, Rule, Version,
};
use pgstream::plugin::data::{Packed, Shape, Values};

const HARMS: &[&str] = &[
    "fewer-identities",
    "more-identities",
    "identities-backwards",
    "identities-beyond",
    "identities-not-utf8",
    "fewer-versions",
    "more-versions",
    "panic",
    "bind-columns-beyond",
    "none",
];

struct Hostile;
struct Found {
    harm: String,
    value: String,
}

impl about::Guest for Hostile {
    fn describe() -> Description {
        let offer = |name: &&str| Offer {
            name: (*name).into(),
            summary: "does that on a row whose first column has that text".into(),
            accepts: vec![],
            uniqueness: Uniqueness::Preserved,
            deterministic: true,
            parameters: vec![Parameter {
                name: "value".into(),
                summary: "the text".into(),
                kind: Kind::Text,
                required: true,
                dynamic: false,
                default: None,
                one_of: vec![],
            }],
        };
        Description {
            name: "hostile-injector".into(),
            version: "0.1.0".into(),
            summary: "Finds identities and versions, wrongly on a value".into(),
            offers: HARMS.iter().map(offer).collect(),
        }
    }
}

impl injector::Guest for Hostile {
    type Finder = Found;
}

impl GuestFinder for Found {
    fn bind(rule: Rule) -> Result<(Finder, Findings), String> {
        let json = rule.settings.iter().find(|(name, _)| name == "value").map(|(_, json)| json.as_str());
        let value = serde_json::from_str(json.unwrap_or("\"\"")).map_err(|_| "value must be a text")?;
        let reads = vec![Read { at: 0, shape: Shape::Text }];
        let identity = match rule.offer.as_str() {
            "bind-columns-beyond" => Identity::Columns(vec![9_999]),
            _ => Identity::Computed(reads.clone()),
        };
        let findings = Findings { identity, version: Version::Computed(reads) };
        Ok((Finder::new(Self { harm: rule.offer, value }), findings))
    }

    fn identities(&self, rows: Rows) -> Result<Packed, String> {
        let hit = self.hit(&rows);
        let Some(Values::Text(mut packed)) = rows.columns.into_iter().next().map(|column| column.values)
        else {
            return Err("text was asked for".into());
        };
        let Some(row) = hit else { return Ok(packed) };
        match self.harm.as_str() {
            "fewer-identities" => drop(packed.ends.pop()),
            "more-identities" => packed.ends.extend(packed.ends.last().copied()),
            "identities-backwards" => packed.ends[row] = u32::MAX,
            "identities-beyond" => packed.ends.iter_mut().for_each(|end| *end += 9_999),
            "identities-not-utf8" => packed.data.fill(0xFF),
            "panic" => panic!("on the row"),
            _ => {}
        }
        Ok(packed)
    }

    fn versions(&self, rows: Rows) -> Result<Vec<i64>, String> {
        let mut versions: Vec<i64> = (0..i64::from(rows.count)).collect();
        match self.harm.as_str() {
            "fewer-versions" if self.hit(&rows).is_some() => drop(versions.pop()),
            "more-versions" if self.hit(&rows).is_some() => versions.push(0),
            _ => {}
        }
        Ok(versions)
    }
}

impl Found {
    fn hit(&self, rows: &Rows) -> Option<usize> {
        let Values::Text(packed) = &rows.columns.first()?.values else { return None };
        let start = |row: usize| if row == 0 { 0 } else { packed.ends[row - 1] as usize };
        let text = |row: usize| &packed.data[start(row)..packed.ends[row] as usize];
        (0..packed.ends.len()).find(|&row| text(row) == self.value.as_bytes())
    }
}

export!(Hostile);
