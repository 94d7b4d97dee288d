//! Arrays in binary form, for types whose binary form follows from the text without knowing anything of the server.
//!
//! The server reads an array literal character by character and then each element by its type's input function; that
//! is a third of what an update of many columns costs it. Arrays: `array_recv` in
//! <https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c>.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use event::Value;

/// A type that is sent in binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binary {
    /// The type of the elements.
    oid: u32,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The text is the binary form.
    Text,
    Bool,
    Int2,
    Int4,
    Int8,
    Uuid,
}

impl Binary {
    /// None for a type that is not sent so.
    pub(super) fn of(oid: u32) -> Option<Self> {
        let form = match oid {
            16 => Form::Bool,
            20 => Form::Int8,
            21 => Form::Int2,
            23 => Form::Int4,
            // text, bpchar, varchar
            25 | 1042 | 1043 => Form::Text,
            2950 => Form::Uuid,
            _ => return None,
        };
        Some(Self { oid, form })
    }

    /// Whether the value is the text of one of this type. What is not goes as text, for the server to judge.
    pub(super) fn holds(self, value: Value<'_>) -> bool {
        let Value::Present(text) = value else { return true };
        match self.form {
            Form::Text => true,
            Form::Bool => matches!(text, b"t" | b"f"),
            Form::Int2 => int::<i16>(text).is_some(),
            Form::Int4 => int::<i32>(text).is_some(),
            Form::Int8 => int::<i64>(text).is_some(),
            Form::Uuid => uuid(text).is_some(),
        }
    }

    /// Appends an array of these values, each of which it [holds](Self::holds).
    pub(super) fn array<'a>(
        self,
        values: impl ExactSizeIterator<Item = Value<'a>>,
        out: &mut BytesMut,
    ) -> Result<(), Box<dyn Error + Sync + Send>> {
        // One dimension, with its length and lower bound; nulls may occur.
        out.put_i32(1);
        out.put_i32(1);
        out.put_u32(self.oid);
        out.put_i32(i32::try_from(values.len())?);
        out.put_i32(1);
        for value in values {
            let Value::Present(text) = value else {
                out.put_i32(-1);
                continue;
            };
            match self.form {
                Form::Text => {
                    out.put_i32(i32::try_from(text.len())?);
                    out.put_slice(text);
                }
                Form::Bool => {
                    out.put_i32(1);
                    out.put_u8(u8::from(text == b"t"));
                }
                Form::Int2 => {
                    out.put_i32(2);
                    out.put_i16(int(text).ok_or(Changed)?);
                }
                Form::Int4 => {
                    out.put_i32(4);
                    out.put_i32(int(text).ok_or(Changed)?);
                }
                Form::Int8 => {
                    out.put_i32(8);
                    out.put_i64(int(text).ok_or(Changed)?);
                }
                Form::Uuid => {
                    out.put_i32(16);
                    out.put_slice(&uuid(text).ok_or(Changed)?);
                }
            }
        }
        Ok(())
    }
}

/// Cannot be: the values are those that were looked at before.
#[derive(Debug, thiserror::Error)]
#[error("a value is not what it was")]
struct Changed;

/// As Postgres writes it: no sign but a minus, no space.
fn int<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if !matches!(text.first(), Some(b'-' | b'0'..=b'9')) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// As Postgres writes it: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut out = [0; 16];
    let mut digits = 0_usize;
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = (*byte as char).to_digit(16)?;
        let place = out.get_mut(digits / 2)?;
        *place = *place << 4 | u8::try_from(digit).ok()?;
        digits += 1;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(oid: u32, text: &str) -> bool {
        Binary::of(oid).unwrap().holds(Value::Present(text.as_bytes()))
    }

    #[test]
    fn what_is_no_text_of_the_type_is_left_to_the_server() {
        for (oid, text) in [
            (16, "true"),
            (16, ""),
            (21, "32768"),
            (23, "2147483648"),
            (23, "+1"),
            (23, " 1"),
            (23, "1.0"),
            (23, ""),
            (23, "-"),
            (20, "9223372036854775808"),
            (20, "\u{661}"),
            (2950, "c0b3ffb000004000800000000000000a"),
            (2950, "{c0b3ffb0-0000-4000-8000-00000000000}"),
            (2950, "c0b3ffb0-0000-4000-8000-00000000000g"),
            (2950, "c0b3ffb0+0000-4000-8000-00000000000a"),
        ] {
            assert!(!holds(oid, text), "{text:?} of type {oid}");
        }
        assert!(holds(20, "-9223372036854775808") && holds(21, "-32768") && holds(25, ""));
    }

    proptest! {
        #[test]
        fn an_array_is_what_the_driver_makes_of_the_same_values(
            ints in proptest::collection::vec(any::<Option<i64>>(), 1..20),
            texts in proptest::collection::vec(any::<Option<String>>(), 1..20),
            bools in proptest::collection::vec(any::<Option<bool>>(), 1..20),
        ) {
            use tokio_postgres::types::{ToSql, Type};
            let ours = |oid: u32, texts: &[Option<String>]| {
                let values: Vec<_> =
                    texts.iter().map(|text| text.as_ref().map_or(Value::Null, |text| Value::Present(text.as_bytes()))).collect();
                let mut out = BytesMut::new();
                Binary::of(oid).unwrap().array(values.into_iter(), &mut out).unwrap();
                // The driver says whether there are nulls, which the server does not look at.
                out[4..8].fill(0);
                out
            };
            let theirs = |values: &dyn ToSql, kind: Type| {
                let mut out = BytesMut::new();
                values.to_sql_checked(&kind, &mut out).unwrap();
                out[4..8].fill(0);
                out
            };
            let text = |value: &Option<i64>| value.map(|value| value.to_string());
            prop_assert_eq!(ours(20, &ints.iter().map(text).collect::<Vec<_>>()), theirs(&ints, Type::INT8_ARRAY));
            let narrow: Vec<_> = ints.iter().map(|value| value.map(|value| value as i32)).collect();
            let text = |value: &Option<i32>| value.map(|value| value.to_string());
            prop_assert_eq!(ours(23, &narrow.iter().map(text).collect::<Vec<_>>()), theirs(&narrow, Type::INT4_ARRAY));
            let narrow: Vec<_> = ints.iter().map(|value| value.map(|value| value as i16)).collect();
            let text = |value: &Option<i16>| value.map(|value| value.to_string());
            prop_assert_eq!(ours(21, &narrow.iter().map(text).collect::<Vec<_>>()), theirs(&narrow, Type::INT2_ARRAY));
            prop_assert_eq!(ours(25, &texts), theirs(&texts, Type::TEXT_ARRAY));
            let text = |value: &Option<bool>| value.map(|value| if value { "t" } else { "f" }.to_owned());
            prop_assert_eq!(ours(16, &bools.iter().map(text).collect::<Vec<_>>()), theirs(&bools, Type::BOOL_ARRAY));
        }

        #[test]
        fn a_uuid_is_its_bytes(bytes in any::<[u8; 16]>()) {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            prop_assert_eq!(uuid(text.as_bytes()), Some(bytes));
            prop_assert_eq!(uuid(text.to_uppercase().as_bytes()), Some(bytes));
        }
    }
}
