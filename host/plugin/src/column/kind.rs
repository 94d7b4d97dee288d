//! Which shapes a column's type can take, and which texts it can hold.

use event::Column;

use crate::Shape;

/// The types that have another shape than text, or a text that can be checked cheaply.
///
/// Oids are those of `pg_type.dat`; they are fixed for built-in types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// `boolean`.
    Bool,
    /// `bytea`.
    Bytea,
    /// `smallint`, `integer`, `bigint`: the number of bits.
    Int(u32),
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `date`.
    Date,
    /// `timestamp without time zone`.
    Timestamp,
    /// `timestamp with time zone`.
    TimestampTz,
    /// `uuid`.
    Uuid,
    /// `text`, `varchar`, `char(n)`, with the most characters that it holds.
    Text(Option<usize>),
    /// Any other type: text only, and not checked.
    Other,
}

impl ColumnType {
    /// The type of a column.
    #[must_use]
    pub fn of(column: &Column) -> Self {
        match column.type_oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            20 => Self::Int(64),
            21 => Self::Int(16),
            23 => Self::Int(32),
            25 => Self::Text(None),
            700 => Self::Float4,
            701 => Self::Float8,
            1042 | 1043 => Self::Text(length(&column.type_name)),
            1082 => Self::Date,
            1114 => Self::Timestamp,
            1184 => Self::TimestampTz,
            2950 => Self::Uuid,
            _ => Self::Other,
        }
    }

    /// Whether a plugin can have it in this shape.
    #[must_use]
    pub fn has(self, shape: Shape) -> bool {
        match shape {
            Shape::Text => true,
            Shape::Bytes => self == Self::Bytea,
            Shape::Ints => matches!(self, Self::Int(_) | Self::Date | Self::Timestamp | Self::TimestampTz),
            Shape::Floats => matches!(self, Self::Float4 | Self::Float8),
            Shape::Bools => self == Self::Bool,
        }
    }

    /// Whether a whole number fits.
    pub(crate) fn holds(self, value: i64) -> bool {
        match self {
            Self::Int(16) => i16::try_from(value).is_ok(),
            Self::Int(32) => i32::try_from(value).is_ok(),
            _ => true,
        }
    }
}

/// `n` of `character varying(n)`. A plain `character` (oid 1042) holds one.
fn length(type_name: &str) -> Option<usize> {
    match type_name.split_once('(') {
        Some((_, rest)) => rest.trim_end_matches(')').parse().ok(),
        None => (type_name == "character").then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_from_the_type_as_postgres_prints_it() {
        assert_eq!(length("character varying(12)"), Some(12));
        assert_eq!(length("character(3)"), Some(3));
        assert_eq!(length("character varying"), None);
        assert_eq!(length("character"), Some(1));
        assert_eq!(length("bpchar"), None);
    }

    #[test]
    fn numbers_are_checked_against_the_width() {
        assert!(ColumnType::Int(16).holds(-32768) && !ColumnType::Int(16).holds(32768));
        assert!(ColumnType::Int(32).holds(2_147_483_647) && !ColumnType::Int(32).holds(-2_147_483_649));
        assert!(ColumnType::Int(64).holds(i64::MIN));
    }
}
