//! What is gathered and scattered comes back; what breaks the contract does not.

use event::{Cells, Value};
use proptest::prelude::*;

use super::*;

fn cells(values: &[Option<Option<&str>>]) -> Cells {
    values
        .iter()
        .map(|value| match value {
            Some(Some(text)) => Value::Present(text.as_bytes()),
            Some(None) => Value::Null,
            None => Value::Unchanged,
        })
        .collect()
}

fn owned(column: Column<'_>) -> Column<'static> {
    let packed = |packed: Packed<'_>| Packed {
        ends: Cow::Owned(packed.ends.into_owned()),
        data: Cow::Owned(packed.data.into_owned()),
    };
    Column {
        at: column.at,
        states: Cow::Owned(column.states.into_owned()),
        values: match column.values {
            Values::Text(text) => Values::Text(packed(text)),
            Values::Bytes(bytes) => Values::Bytes(packed(bytes)),
            Values::Ints(values) => Values::Ints(Cow::Owned(values.into_owned())),
            Values::Floats(values) => Values::Floats(Cow::Owned(values.into_owned())),
            Values::Bools(values) => Values::Bools(Cow::Owned(values.into_owned())),
        },
    }
}

/// A type, its shapes and texts of it.
fn typed_text() -> impl Strategy<Value = (ColumnType, Shape, BoxedStrategy<String>)> {
    prop_oneof![
        Just((ColumnType::Text(None), Shape::Text, "\\PC{0,12}".boxed())),
        Just((ColumnType::Other, Shape::Text, "[a-z{},]{0,12}".boxed())),
        Just((
            ColumnType::Bytea,
            Shape::Bytes,
            proptest::collection::vec(any::<u8>(), 0..12)
                .prop_map(|bytes| {
                    let mut text = Vec::new();
                    number::write_hex(&mut text, &bytes);
                    String::from_utf8(text).unwrap()
                })
                .boxed()
        )),
        Just((ColumnType::Int(16), Shape::Ints, any::<i16>().prop_map(|v| v.to_string()).boxed())),
        Just((ColumnType::Int(32), Shape::Ints, any::<i32>().prop_map(|v| v.to_string()).boxed())),
        Just((ColumnType::Int(64), Shape::Ints, any::<i64>().prop_map(|v| v.to_string()).boxed())),
        Just((
            ColumnType::Bool,
            Shape::Bools,
            prop_oneof![Just("t".to_owned()), Just("f".to_owned())].boxed()
        )),
        Just((
            ColumnType::Float8,
            Shape::Floats,
            prop_oneof![
                any::<f64>().prop_map(|v| {
                    let mut text = Vec::new();
                    number::write_float(&mut text, v, false);
                    String::from_utf8(text).unwrap()
                }),
                Just("9.999999999999999e+22".to_owned()),
            ]
            .boxed()
        )),
        Just((
            ColumnType::TimestampTz,
            Shape::Ints,
            prop_oneof![
                (-210_866_803_200_000_000_i64..9_223_371_331_200_000_000).prop_map(|v| {
                    let mut text = Vec::new();
                    time::write_timestamp(&mut text, v, true);
                    String::from_utf8(text).unwrap()
                }),
                Just("infinity".to_owned()),
            ]
            .boxed()
        )),
    ]
}

fn a_column() -> impl Strategy<Value = (ColumnType, Shape, Vec<Option<Option<String>>>)> {
    typed_text().prop_flat_map(|(kind, shape, text)| {
        let value =
            prop_oneof![8 => text.prop_map(|t| Some(Some(t))), 1 => Just(Some(None)), 1 => Just(None)];
        (Just(kind), Just(shape), proptest::collection::vec(value, 0..30))
    })
}

proptest! {
    #[test]
    fn a_column_that_is_gathered_and_scattered_is_the_same(
        (kind, shape, values) in a_column(), cut in 0_usize..31, from in 0_usize..31
    ) {
        let views: Vec<Option<Option<&str>>> = values.iter().map(|v| v.as_ref().map(|v| v.as_deref())).collect();
        let cells = cells(&views);
        let rows = from.min(cut).min(cells.len())..cut.min(cells.len());
        for rows in [0..cells.len(), rows] {
            let gathered = gather(&cells, rows.clone(), 3, shape, kind);
            prop_assert!(gathered.unreadable.is_empty());
            let back = scatter(owned(gathered.column), kind, &cells, rows.clone()).unwrap();
            prop_assert!(back.misfits.is_empty());
            let want: Vec<Value<'_>> = rows.map(|row| cells.get(row)).collect();
            prop_assert_eq!(back.cells.iter().collect::<Vec<_>>(), want);
        }
    }
}

fn text_column(states: &[u8], ends: &[u32], data: &[u8]) -> Column<'static> {
    Column {
        at: 0,
        states: Cow::Owned(states.to_vec()),
        values: Values::Text(Packed { ends: Cow::Owned(ends.to_vec()), data: Cow::Owned(data.to_vec()) }),
    }
}

#[test]
fn text_crosses_without_a_copy() {
    let cells = cells(&[Some(Some("one")), Some(Some("two")), Some(Some("three"))]);
    let all = gather(&cells, 0..3, 0, Shape::Text, ColumnType::Text(None));
    let Values::Text(packed) = all.column.values else { panic!("text") };
    assert!(matches!(packed.ends, Cow::Borrowed(_)) && matches!(packed.data, Cow::Borrowed(_)));
    let some = gather(&cells, 1..3, 0, Shape::Text, ColumnType::Text(None));
    let Values::Text(packed) = some.column.values else { panic!("text") };
    assert_eq!((packed.ends.as_ref(), packed.data.as_ref()), ([3, 8].as_slice(), b"twothree".as_slice()));
    assert!(matches!(packed.data, Cow::Borrowed(_)));
}

#[test]
fn a_broken_column_is_refused_and_no_value_is_named() {
    let source = cells(&[Some(Some("secret")), Some(Some("other"))]);
    for (states, ends, data, want) in [
        (&[][..], &[1][..], &b"a"[..], "1 values for 2 rows"),
        (&[], &[2, 1], b"ab", "`ends` goes backwards at row 1"),
        (&[], &[1, 9], b"ab", "the last end is 9 but there are 2 bytes of data"),
        (&[], &[1, 2], b"\xff\xfe", "text that is not UTF-8"),
        (&[], &[1, 2], "é".as_bytes(), "the text of row 0 ends inside a character"),
        (&[], &[1, 2], b"a\0", "text with a NUL character"),
        (&[0], &[1, 2], b"ab", "1 states for 2 rows"),
        (&[0, 2], &[1, 2], b"ab", "row 1 is called unchanged, but its value was there"),
        (&[0, 7], &[1, 2], b"ab", "row 1 has the unknown state 7"),
    ] {
        let error =
            scatter(text_column(states, ends, data), ColumnType::Text(None), &source, 0..2).unwrap_err();
        assert_eq!(error, want);
    }
    let ints = Column { at: 0, states: Cow::Owned(vec![]), values: Values::Ints(Cow::Owned(vec![1, 2])) };
    assert!(scatter(ints, ColumnType::Text(None), &source, 0..2).unwrap_err().contains("no such shape"));
}

#[test]
fn no_plugin_turns_null_or_unchanged_into_a_value() {
    let source = cells(&[Some(None), None, Some(Some("a"))]);
    for states in [&[][..], &[0, 0, 0][..], &[2, 1, 0][..]] {
        let back =
            scatter(text_column(states, &[1, 2, 3], b"xyz"), ColumnType::Text(None), &source, 0..3).unwrap();
        assert_eq!(back.cells, cells(&[Some(None), None, Some(Some("z"))]));
    }
    let nulled =
        scatter(text_column(&[1, 1, 1], &[0, 0, 1], b"z"), ColumnType::Text(None), &source, 0..3).unwrap();
    assert_eq!(nulled.cells, cells(&[Some(None), None, Some(None)]));
    assert_eq!(nulled.cells.data().len(), 0, "a value called null is gone");
}

#[test]
fn a_value_that_the_column_cannot_hold_is_a_misfit_of_its_row_alone() {
    let source = cells(&[Some(Some("1")), Some(Some("2"))]);
    let ints =
        |values: Vec<i64>| Column { at: 0, states: Cow::Owned(vec![]), values: Values::Ints(values.into()) };
    let back = scatter(ints(vec![5, 40_000]), ColumnType::Int(16), &source, 0..2).unwrap();
    assert_eq!(back.misfits.iter().map(|m| (m.row, m.code)).collect::<Vec<_>>(), [(1, "out_of_range")]);
    let back = scatter(ints(vec![1, 0]), ColumnType::Date, &source, 0..2).unwrap();
    assert_eq!(back.misfits.iter().map(|m| m.row).collect::<Vec<_>>(), [0]);
    let long =
        scatter(text_column(&[], &[3, 11], "abcéééé".as_bytes()), ColumnType::Text(Some(3)), &source, 0..2);
    let back = long.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(back.misfits.iter().map(|m| (m.row, m.code)).collect::<Vec<_>>(), [(1, "too_long")]);
    let text = scatter(text_column(&[], &[2, 3], b"x*3"), ColumnType::Int(32), &source, 0..2).unwrap();
    assert_eq!(text.misfits.iter().map(|m| (m.row, m.code)).collect::<Vec<_>>(), [(0, "invalid_text")]);
}

#[test]
fn a_date_beyond_64_bits_of_microseconds_is_unreadable_and_seen_as_null() {
    let cells = cells(&[Some(Some("5874897-12-31")), Some(Some("1970-01-01"))]);
    let gathered = gather(&cells, 0..2, 0, Shape::Ints, ColumnType::Date);
    assert_eq!(gathered.unreadable, [0]);
    assert_eq!(gathered.column.states.as_ref(), [1, 0]);
}

/// A column as a plugin that means harm may give it: mostly of the right length, rarely in order.
fn garbage(count: usize) -> impl Strategy<Value = Column<'static>> {
    let length = prop_oneof![6 => Just(count), 1 => 0..count + 3];
    let bytes = |byte: BoxedStrategy<u8>, most: usize| proptest::collection::vec(byte, 0..most);
    let data = prop_oneof![
        4 => bytes((1_u8..128).boxed(), 40),
        1 => bytes(prop_oneof![6 => 1_u8..128, 1 => Just(0)].boxed(), 40),
        1 => bytes(any::<u8>().boxed(), 4),
        2 => "[a-zé]{0,20}".prop_map(String::into_bytes),
    ];
    let packed = (length.clone(), data)
        .prop_flat_map(|(length, data)| {
            let most = u32::try_from(data.len()).unwrap();
            let end = prop_oneof![8 => 0..=most, 1 => Just(most), 1 => any::<u32>()];
            (proptest::collection::vec(end, length), Just(data), any::<bool>(), any::<bool>())
        })
        .prop_map(|(mut ends, data, sorted, whole)| {
            if sorted {
                ends.sort_unstable();
            }
            if let (Some(last), true) = (ends.last_mut(), whole) {
                *last = u32::try_from(data.len()).unwrap();
            }
            Packed { ends: Cow::Owned(ends), data: Cow::Owned(data) }
        })
        .boxed();
    let states = prop_oneof![
        2 => Just(Vec::new()),
        4 => proptest::collection::vec(0_u8..2, count),
        1 => proptest::collection::vec(0_u8..5, 0..count + 3),
    ];
    let numbers = proptest::collection::vec;
    let values = prop_oneof![
        4 => packed.clone().prop_map(Values::Text),
        2 => packed.prop_map(Values::Bytes),
        2 => length.clone().prop_flat_map(move |n| numbers(any::<i64>(), n)).prop_map(|v| Values::Ints(v.into())),
        2 => length.clone().prop_flat_map(|n| proptest::collection::vec(any::<f64>(), n)).prop_map(|v| Values::Floats(v.into())),
        2 => length.prop_flat_map(|n| proptest::collection::vec(0_u8..4, n)).prop_map(|v| Values::Bools(v.into())),
    ];
    (states, values).prop_map(|(states, values)| Column { at: 0, states: Cow::Owned(states), values })
}

fn any_kind() -> impl Strategy<Value = ColumnType> {
    prop_oneof![
        Just(ColumnType::Bool),
        Just(ColumnType::Bytea),
        Just(ColumnType::Int(16)),
        Just(ColumnType::Int(64)),
        Just(ColumnType::Float4),
        Just(ColumnType::Float8),
        Just(ColumnType::Date),
        Just(ColumnType::Timestamp),
        Just(ColumnType::TimestampTz),
        Just(ColumnType::Uuid),
        Just(ColumnType::Text(None)),
        Just(ColumnType::Text(Some(3))),
        Just(ColumnType::Other),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn garbage_is_refused_or_well_formed(
        (column, states) in (0_usize..9).prop_flat_map(|count| (garbage(count), proptest::collection::vec(0_u8..3, count))),
        kind in any_kind(),
        before in 0_usize..3,
    ) {
        let count = states.len();
        let state = |state: &u8| match state {
            0 => Value::Present(b"7".as_slice()),
            1 => Value::Null,
            _ => Value::Unchanged,
        };
        let source: Cells = std::iter::repeat_n(Value::Null, before).chain(states.iter().map(state)).collect();
        match scatter(column, kind, &source, before..before + count) {
            Err(reason) => prop_assert!(!reason.is_empty() && reason.len() < 200, "{reason}"),
            Ok(Scattered { cells, misfits }) => {
                prop_assert_eq!(cells.len(), count);
                prop_assert!(misfits.iter().all(|misfit| misfit.row < count));
                // The parts are a column, and no value is where none was.
                let parts = (cells.states().to_vec(), cells.ends().to_vec(), cells.data().to_vec());
                prop_assert!(Cells::from_parts(parts.0, parts.1, parts.2.into(), count).is_ok());
                for (row, state) in states.iter().enumerate() {
                    match (state, cells.get(row)) {
                        (0, Value::Present(text)) => {
                            prop_assert!(std::str::from_utf8(text).is_ok() && !text.contains(&0), "row {row}");
                        }
                        (0 | 1, Value::Null) | (2, Value::Unchanged) => {}
                        (state, _) => prop_assert!(false, "row {row} was {state}"),
                    }
                }
            }
        }
    }
}
