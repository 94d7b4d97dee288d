//! Columns at the border: the host's packed text ↔ the shape that a plugin asks for.
//!
//! [`gather()`] gives a plugin a column without copying a byte where the shape is `text`; [`scatter()`] takes one back,
//! checks it against the contract and puts it into Postgres text form.

mod gather;
mod kind;
mod number;
mod scatter;
mod time;

use std::borrow::Cow;

pub use gather::{Gathered, gather};
pub use kind::ColumnType;
pub use scatter::{Misfit, Scattered, scatter};

use crate::Shape;

/// Values of varying length, end to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed<'a> {
    /// Where each value ends.
    pub ends: Cow<'a, [u32]>,
    /// The values.
    pub data: Cow<'a, [u8]>,
}

/// The values of a column in one shape.
#[derive(Clone, PartialEq)]
pub enum Values<'a> {
    /// Postgres text form.
    Text(Packed<'a>),
    /// Raw bytes.
    Bytes(Packed<'a>),
    /// Whole numbers.
    Ints(Cow<'a, [i64]>),
    /// Floating point numbers.
    Floats(Cow<'a, [f64]>),
    /// 0 or 1.
    Bools(Cow<'a, [u8]>),
}

impl Values<'_> {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(packed) | Self::Bytes(packed) => packed.ends.len(),
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Bools(values) => values.len(),
        }
    }

    /// Without any value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match self {
            Self::Text(_) => Shape::Text,
            Self::Bytes(_) => Shape::Bytes,
            Self::Ints(_) => Shape::Ints,
            Self::Floats(_) => Shape::Floats,
            Self::Bools(_) => Shape::Bools,
        }
    }
}

/// Values must never reach a log: only their number and shape are printed.
impl std::fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({} rows)", self.shape(), self.len())
    }
}

/// One column of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Column<'a> {
    /// Index into `Relation::columns`.
    pub at: usize,
    /// State codes of [`event::State`], one a row; empty when every value is present.
    pub states: Cow<'a, [u8]>,
    /// One a row, whatever its state.
    pub values: Values<'a>,
}

impl Column<'_> {
    /// Bytes that cross the border.
    #[must_use]
    pub fn weight(&self) -> usize {
        let values = match &self.values {
            Values::Text(packed) | Values::Bytes(packed) => packed.ends.len() * 4 + packed.data.len(),
            Values::Ints(values) => values.len() * 8,
            Values::Floats(values) => values.len() * 8,
            Values::Bools(values) => values.len(),
        };
        self.states.len() + values
    }
}

#[cfg(test)]
mod tests;
