//! What is encoded is decoded again, and no bytes at all make the decoder panic.

use event::ReplicaIdentity;
use proptest::prelude::*;

use super::*;

/// A value that owns its bytes.
pub(crate) type Owned = Option<Option<Vec<u8>>>;

fn owned() -> impl Strategy<Value = Owned> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Some(Some(bytes))),
        1 => Just(Some(None)),
        1 => Just(None),
    ]
}

fn row() -> impl Strategy<Value = Vec<Owned>> {
    proptest::collection::vec(owned(), 0..6)
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Zä\" .]{1,8}"
}

fn value(owned: &Owned) -> Value<'_> {
    match owned {
        Some(Some(bytes)) => Value::Present(bytes),
        Some(None) => Value::Null,
        None => Value::Unchanged,
    }
}

/// A message with the values of its row, as a test makes it up.
#[derive(Clone, Debug)]
pub(crate) enum Made {
    Begin(u64, i64, u32),
    Commit(u64),
    Origin(String),
    Logical(String, Vec<u8>),
    Type(u32, String, String),
    Relation(u32, String, String, ReplicaIdentity, Vec<(bool, String, u32, i32)>),
    Insert(u32, Vec<Owned>),
    Update(u32, Option<(OldImage, Vec<Owned>)>, Vec<Owned>),
    Delete(u32, OldImage, Vec<Owned>),
    Truncate(Vec<u32>, bool, bool),
}

fn old() -> impl Strategy<Value = OldImage> {
    prop_oneof![Just(OldImage::Key), Just(OldImage::Full)]
}

fn identity() -> impl Strategy<Value = ReplicaIdentity> {
    prop_oneof![
        Just(ReplicaIdentity::Default),
        Just(ReplicaIdentity::Nothing),
        Just(ReplicaIdentity::Full),
        Just(ReplicaIdentity::Index),
    ]
}

pub(crate) fn made() -> impl Strategy<Value = Made> {
    let columns = proptest::collection::vec((any::<bool>(), name(), any::<u32>(), any::<i32>()), 0..5);
    prop_oneof![
        (any::<u64>(), -1_000_000_i64..1_000_000, any::<u32>()).prop_map(|(l, t, x)| Made::Begin(l, t, x)),
        any::<u64>().prop_map(Made::Commit),
        name().prop_map(Made::Origin),
        (name(), proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(n, b)| Made::Logical(n, b)),
        (any::<u32>(), name(), name()).prop_map(|(o, s, n)| Made::Type(o, s, n)),
        (any::<u32>(), name(), name(), identity(), columns)
            .prop_map(|(o, s, n, i, c)| Made::Relation(o, s, n, i, c)),
        (any::<u32>(), row()).prop_map(|(r, v)| Made::Insert(r, v)),
        (any::<u32>(), proptest::option::of((old(), row())), row())
            .prop_map(|(r, o, n)| Made::Update(r, o, n)),
        (any::<u32>(), old(), row()).prop_map(|(r, k, v)| Made::Delete(r, k, v)),
        (proptest::collection::vec(any::<u32>(), 0..5), any::<bool>(), any::<bool>())
            .prop_map(|(r, c, i)| Made::Truncate(r, c, i)),
    ]
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(0);
}

fn put_tuple(out: &mut Vec<u8>, kind: u8, row: &[Owned]) {
    out.push(kind);
    out.extend_from_slice(&i16::try_from(row.len()).unwrap().to_be_bytes());
    for value in row {
        match value {
            Some(Some(bytes)) => {
                out.push(b't');
                out.extend_from_slice(&i32::try_from(bytes.len()).unwrap().to_be_bytes());
                out.extend_from_slice(bytes);
            }
            Some(None) => out.push(b'n'),
            None => out.push(b'u'),
        }
    }
}

fn old_kind(old: OldImage) -> u8 {
    if old == OldImage::Full { b'O' } else { b'K' }
}

pub(crate) fn encode(made: &Made) -> Vec<u8> {
    let mut out = Vec::new();
    match made {
        Made::Begin(lsn, time, xid) => {
            out.push(b'B');
            out.extend_from_slice(&lsn.to_be_bytes());
            out.extend_from_slice(&time.to_be_bytes());
            out.extend_from_slice(&xid.to_be_bytes());
        }
        Made::Commit(end) => {
            out.extend_from_slice(b"C\0");
            out.extend_from_slice(&[0; 8]);
            out.extend_from_slice(&end.to_be_bytes());
            out.extend_from_slice(&[0; 8]);
        }
        Made::Origin(name) => {
            out.push(b'O');
            out.extend_from_slice(&[0; 8]);
            put_name(&mut out, name);
        }
        Made::Logical(prefix, content) => {
            out.extend_from_slice(b"M\x01");
            out.extend_from_slice(&[0; 8]);
            put_name(&mut out, prefix);
            out.extend_from_slice(&i32::try_from(content.len()).unwrap().to_be_bytes());
            out.extend_from_slice(content);
        }
        Made::Type(oid, schema, name) => {
            out.push(b'Y');
            out.extend_from_slice(&oid.to_be_bytes());
            put_name(&mut out, schema);
            put_name(&mut out, name);
        }
        Made::Relation(oid, schema, name, identity, columns) => {
            out.push(b'R');
            out.extend_from_slice(&oid.to_be_bytes());
            put_name(&mut out, schema);
            put_name(&mut out, name);
            out.push(match identity {
                ReplicaIdentity::Default => b'd',
                ReplicaIdentity::Nothing => b'n',
                ReplicaIdentity::Full => b'f',
                ReplicaIdentity::Index => b'i',
            });
            out.extend_from_slice(&i16::try_from(columns.len()).unwrap().to_be_bytes());
            for (key, name, type_oid, modifier) in columns {
                out.push(u8::from(*key));
                put_name(&mut out, name);
                out.extend_from_slice(&type_oid.to_be_bytes());
                out.extend_from_slice(&modifier.to_be_bytes());
            }
        }
        Made::Insert(relation, new) => {
            out.push(b'I');
            out.extend_from_slice(&relation.to_be_bytes());
            put_tuple(&mut out, b'N', new);
        }
        Made::Update(relation, old, new) => {
            out.push(b'U');
            out.extend_from_slice(&relation.to_be_bytes());
            if let Some((kind, old)) = old {
                put_tuple(&mut out, old_kind(*kind), old);
            }
            put_tuple(&mut out, b'N', new);
        }
        Made::Delete(relation, kind, old) => {
            out.push(b'D');
            out.extend_from_slice(&relation.to_be_bytes());
            put_tuple(&mut out, old_kind(*kind), old);
        }
        Made::Truncate(relations, cascade, restart) => {
            out.push(b'T');
            out.extend_from_slice(&i32::try_from(relations.len()).unwrap().to_be_bytes());
            out.push(u8::from(*cascade) | (u8::from(*restart) << 1));
            for relation in relations {
                out.extend_from_slice(&relation.to_be_bytes());
            }
        }
    }
    out
}

/// What the decoder must make of it: the message, the old values, the new values.
fn expected(made: &Made) -> (Message<'_>, Vec<Value<'_>>, Vec<Value<'_>>) {
    match made {
        Made::Begin(lsn, time, xid) => {
            (Message::Begin { commit_lsn: Lsn(*lsn), committed_at: time + EPOCH, xid: *xid }, vec![], vec![])
        }
        Made::Commit(end) => (Message::Commit { end: Lsn(*end) }, vec![], vec![]),
        Made::Origin(_) => (Message::Origin, vec![], vec![]),
        Made::Logical(..) => (Message::Logical, vec![], vec![]),
        Made::Type(oid, schema, name) => (Message::Type { oid: *oid, schema, name }, vec![], vec![]),
        Made::Relation(oid, schema, name, identity, columns) => {
            let columns = columns
                .iter()
                .map(|(key, name, type_oid, type_modifier)| ColumnMessage {
                    key: *key,
                    name,
                    type_oid: *type_oid,
                    type_modifier: *type_modifier,
                })
                .collect();
            let message = RelationMessage { oid: *oid, schema, name, identity: *identity, columns };
            (Message::Relation(message), vec![], vec![])
        }
        Made::Insert(relation, new) => {
            (Message::Insert { relation: *relation }, vec![], new.iter().map(value).collect())
        }
        Made::Update(relation, old, new) => {
            let kind = old.as_ref().map_or(OldImage::None, |(kind, _)| *kind);
            let old = old.iter().flat_map(|(_, row)| row).map(value).collect();
            (Message::Update { relation: *relation, old: kind }, old, new.iter().map(value).collect())
        }
        Made::Delete(relation, kind, old) => {
            (Message::Delete { relation: *relation, old: *kind }, old.iter().map(value).collect(), vec![])
        }
        Made::Truncate(relations, cascade, restart) => {
            let relations = relations.clone();
            (Message::Truncate { relations, cascade: *cascade, restart_identity: *restart }, vec![], vec![])
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(made in made()) {
        let bytes = encode(&made);
        let mut row = Row::default();
        let message = decode(&bytes, &mut row).unwrap();
        prop_assert_eq!((message, row.old, row.new), expected(&made));
    }

    #[test]
    fn a_message_cut_short_or_with_a_tail_is_refused(made in made(), cut in any::<proptest::sample::Index>()) {
        let mut bytes = encode(&made);
        let short = &bytes[..cut.index(bytes.len())];
        prop_assert!(decode(short, &mut Row::default()).is_err());
        bytes.push(0);
        prop_assert_eq!(decode(&bytes, &mut Row::default()), Err(Malformed::Trailing(1)));
    }

    #[test]
    fn one_wrong_byte_never_panics(made in made(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&made);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes, &mut Row::default());
    }

    #[test]
    fn any_bytes_never_panic(
        kind in proptest::sample::select(b"BCOMRYIUDT?".to_vec()),
        bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let _ = decode(&bytes, &mut Row::default());
        let mut with_kind = vec![kind];
        with_kind.extend(bytes);
        let _ = decode(&with_kind, &mut Row::default());
    }
}

#[test]
fn counts_that_promise_more_than_there_is_reserve_nothing_much() {
    let truncate = [b'T', 0x7f, 0xff, 0xff, 0xff, 0];
    assert_eq!(decode(&truncate, &mut Row::default()), Err(Malformed::Short));
    let insert = [b'I', 0, 0, 0, 1, b'N', 0x7f, 0xff, b't', 0x7f, 0xff, 0xff, 0xff];
    let mut row = Row::default();
    assert_eq!(decode(&insert, &mut row), Err(Malformed::Short));
    assert!(row.new.capacity() < 100);
}

#[test]
fn binary_values_were_never_asked_for() {
    let insert = [b'I', 0, 0, 0, 1, b'N', 0, 1, b'b', 0, 0, 0, 0];
    assert_eq!(decode(&insert, &mut Row::default()), Err(Malformed::Kind(b'b')));
}

#[test]
fn room_for_a_row_is_used_again() {
    let made = Made::Insert(1, vec![Some(Some(b"x".to_vec())); 5]);
    let bytes = encode(&made);
    let mut row = Row::default();
    decode(&bytes, &mut row).unwrap();
    let (capacity, address) = (row.new.capacity(), row.new.as_ptr() as usize);
    let row: Row<'_> = row.recycle();
    assert_eq!((row.new.len(), row.new.capacity(), row.new.as_ptr() as usize), (0, capacity, address));
}
