//! What a rule does with a column, once it is bound.

use packed::{Column as View, NULL, Packed as Filled, UNCHANGED};

use crate::contract::exports::pgstream::plugin::transformer::Column;
use crate::contract::pgstream::plugin::data::{Packed, Values};
use crate::masking::Masking;
use crate::siv::Siv;

pub(crate) enum Work {
    /// Leave the values as they are.
    Keep,
    /// NULL for each value.
    Null,
    /// The same text for each value.
    Literal(Vec<u8>),
    Mask(Masking),
    /// Boxed: the key schedules are the larger part of a kilobyte.
    Encrypt(Box<Siv>),
}

impl Work {
    /// NULL stays NULL and unchanged stays unchanged, whatever the work.
    pub(crate) fn apply(&self, count: u32, column: Column) -> Result<Column, String> {
        let Column { at, states, values } = column;
        let (input, wrap): (_, fn(Packed) -> Values) = match &values {
            Values::Text(packed) => (packed, Values::Text),
            Values::Bytes(packed) => (packed, Values::Bytes),
            Values::Ints(_) | Values::Floats(_) | Values::Bools(_) => {
                return Err("a column came in a shape that was not asked for".into());
            }
        };
        let view = View::new(count, &states, &input.ends, &input.data).map_err(|cause| cause.to_string())?;
        let filled = match self {
            Work::Keep => return Ok(Column { at, states, values }),
            Work::Null => {
                let values = wrap(pack(Filled::empty(count)));
                return Ok(Column { at, states: nulls(count, states), values });
            }
            Work::Literal(text) => view.map(|_, out| out.extend_from_slice(text)),
            Work::Mask(masking) => masking.apply(&view),
            Work::Encrypt(siv) => siv.apply(&view),
        };
        Ok(Column { at, states, values: wrap(pack(filled)) })
    }
}

fn pack(filled: Filled) -> Packed {
    Packed { ends: filled.ends, data: filled.data }
}

fn nulls(count: u32, mut states: Vec<u8>) -> Vec<u8> {
    if states.is_empty() {
        return vec![NULL; count as usize];
    }
    for state in &mut states {
        if *state != UNCHANGED {
            *state = NULL;
        }
    }
    states
}
