//! A filter that does harm: with the offer `lengths` and others its answers are of the wrong number or kind, on the rows
//! whose text is that of the setting.

wit_bindgen::generate!({ path: "../../../wit/v0", world: "filter-plugin" });

use exports::pgstream::plugin::about::{self, Description, Kind, Offer, Parameter, Uniqueness};
use exports::pgstream::plugin::filter::{self, GuestRowFilter, Read, Rows, Rule, Verdict};
use pgstream::plugin::data::{Shape, Values};

const HARMS: &[&str] = &["fewer", "more", "neither", "panic", "loop", "huge", "bind-loop", "bind-many-reads"];

struct Hostile;
struct RowFilter {
    harm: String,
    value: String,
}

impl about::Guest for Hostile {
    fn describe() -> Description {
        let parameter = |name: &str| Parameter {
            name: name.into(),
            summary: "a text".into(),
            kind: Kind::Text,
            required: true,
            dynamic: false,
            default: None,
            one_of: vec![],
        };
        let offer = |name: &&str| Offer {
            name: (*name).into(),
            summary: "does that on a row whose column has that text".into(),
            accepts: vec![],
            uniqueness: Uniqueness::Preserved,
            deterministic: true,
            parameters: vec![parameter("column"), parameter("value")],
        };
        Description {
            name: "hostile-filter".into(),
            version: "0.1.0".into(),
            summary: "Keeps every row but answers wrongly on a value".into(),
            offers: HARMS.iter().map(offer).collect(),
        }
    }
}

impl filter::Guest for Hostile {
    type RowFilter = RowFilter;
}

impl GuestRowFilter for RowFilter {
    fn bind(rule: Rule) -> Result<(filter::RowFilter, Verdict), String> {
        let setting = |wanted: &str| -> Result<String, String> {
            let (_, json) = rule.settings.iter().find(|(name, _)| name == wanted).ok_or("it is missing")?;
            serde_json::from_str(json).map_err(|_| "it must be a text".into())
        };
        let column = setting("column")?;
        let Some(at) = rule.table.columns.iter().position(|known| known.name == column) else {
            return Ok((
                filter::RowFilter::new(Self { harm: String::new(), value: String::new() }),
                Verdict::Keep,
            ));
        };
        let read = Read { at: at as u16, shape: Shape::Text };
        let reads = match rule.offer.as_str() {
            "bind-loop" => loop {
                std::hint::black_box(());
            },
            "bind-many-reads" => vec![read; 100_000],
            _ => vec![read],
        };
        let value = setting("value")?;
        Ok((filter::RowFilter::new(Self { harm: rule.offer, value }), Verdict::ByRow(reads)))
    }

    fn keep(&self, rows: Rows) -> Result<Vec<u8>, String> {
        let Some(column) = rows.columns.first() else { return Err("the column did not come".into()) };
        let Values::Text(packed) = &column.values else { return Err("text was asked for".into()) };
        let mut start = 0;
        let mut hit = None;
        for (row, end) in packed.ends.iter().enumerate() {
            if packed.data[start..*end as usize] == *self.value.as_bytes() {
                hit = Some(row);
            }
            start = *end as usize;
        }
        let mut keep = vec![1; rows.count as usize];
        let Some(row) = hit else { return Ok(keep) };
        match self.harm.as_str() {
            "fewer" => keep.truncate(keep.len() - 1),
            "more" => keep.push(1),
            "neither" => keep[row] = 7,
            "panic" => panic!("on the row"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "huge" => keep = vec![1; 20 << 20],
            _ => {}
        }
        Ok(keep)
    }
}

export!(Hostile);
