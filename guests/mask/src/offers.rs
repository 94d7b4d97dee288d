//! What rules can name, each with its parameters and the types that it takes.

use settings::{Kind, Parameter, Settings};

use crate::contract::exports::pgstream::plugin::about::{Shape, Uniqueness};
use crate::contract::pgstream::plugin::data::ColumnInfo;
use crate::masking::{self, Masking};
use crate::siv::Siv;
use crate::work::Work;

pub(crate) struct Offer {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) accepts: &'static [Shape],
    pub(crate) uniqueness: Uniqueness,
    pub(crate) parameters: &'static [Parameter],
    /// The shape in which it wants a column, or why it does not take it.
    pub(crate) shape: fn(&str, &ColumnInfo) -> Result<Shape, String>,
    /// What it does under these settings.
    pub(crate) work: fn(&str, &Settings) -> Result<Work, String>,
}

pub(crate) const OFFERS: &[Offer] = &[
    Offer {
        name: "masking",
        summary: "stars over the part of a value that its kind calls for",
        accepts: &[Shape::Text, Shape::Bytes],
        uniqueness: Uniqueness::Lost,
        parameters: masking::PARAMETERS,
        shape: text_or_bytes,
        work: |_, settings| Masking::new(settings).map(Work::Mask),
    },
    Offer {
        name: "literal_string",
        summary: "the same text for every value; the column's type must be able to read it",
        accepts: &[Shape::Text],
        uniqueness: Uniqueness::Lost,
        parameters: &[Parameter::required("literal", Kind::Text, "the text")],
        shape: any_type,
        work: |_, settings| Ok(Work::Literal(settings.text("literal").unwrap_or_default().into())),
    },
    Offer {
        name: "null",
        summary: "NULL for every value",
        accepts: &[Shape::Text],
        uniqueness: Uniqueness::Lost,
        parameters: &[],
        shape: any_type,
        work: |_, _| Ok(Work::Null),
    },
    Offer {
        name: "encrypted_aes_siv",
        summary: "AES-SIV (RFC 5297): the same value gives the same token, and the key gives the value back",
        accepts: &[Shape::Text, Shape::Bytes],
        uniqueness: Uniqueness::Preserved,
        parameters: &[
            Parameter::required("key_hex", Kind::Text, "the key: 64 bytes as 128 hex digits"),
            Parameter::optional(
                "associated_data",
                Kind::Text,
                "bound into each token: another text, other tokens",
            )
            .default("\"\""),
        ],
        shape: text_or_bytes,
        work: |offer, settings| {
            let key = settings.text("key_hex").unwrap_or_default();
            let associated = settings.text("associated_data").unwrap_or_default();
            Ok(Work::Encrypt(Box::new(Siv::new(offer, key, associated.as_bytes())?)))
        },
    },
    Offer {
        name: "noop",
        summary: "leaves the values as they are: says that a column needs no rule",
        accepts: &[Shape::Text],
        uniqueness: Uniqueness::Preserved,
        parameters: &[],
        shape: any_type,
        work: |_, _| Ok(Work::Keep),
    },
];

fn any_type(_: &str, _: &ColumnInfo) -> Result<Shape, String> {
    Ok(Shape::Text)
}

fn text_or_bytes(offer: &str, column: &ColumnInfo) -> Result<Shape, String> {
    const BYTEA: u32 = 17;
    // name, text, bpchar, varchar.
    const TEXTS: [u32; 4] = [19, 25, 1042, 1043];
    // An extension's type has another oid in each database.
    let is_citext = column.type_name.rsplit('.').next() == Some("citext");
    match column.type_oid {
        BYTEA => Ok(Shape::Bytes),
        oid if TEXTS.contains(&oid) || is_citext => Ok(Shape::Text),
        _ => Err(format!(
            "{offer} cannot take column \"{}\" of type {}: it takes text, varchar, char, citext, name and bytea; \
             literal_string and null take every type",
            column.name, column.type_name
        )),
    }
}
