//! Messages in, batches out, without a server.

use event::{ReplicaIdentity, Step, Walk};
use proptest::prelude::*;

use super::*;
use crate::wal::decode::tests::{Made, Owned, encode, made};
use crate::wal::relation;

const START: Lsn = Lsn(100);

fn transaction(lsn: u64) -> Transaction {
    Transaction { commit_lsn: Lsn(lsn), committed_at: 0, xid: 1 }
}

/// A collector that knows `public.t` (1) and `pgstream.state` (2), both with a key and another column.
fn collector(identity: ReplicaIdentity) -> Collector {
    let mut collector = Collector::new(Relations::default(), START, Copied::default());
    let columns = vec![(true, "id".to_owned(), 20, -1), (false, "v".to_owned(), 25, -1)];
    for (oid, schema, name) in [(1, "public", "t"), (2, "pgstream", "state")] {
        describe(&mut collector, &Made::Relation(oid, schema.into(), name.into(), identity, columns.clone()));
    }
    collector
}

fn describe(collector: &mut Collector, made: &Made) {
    let bytes = encode(made);
    let message = collector.take(&bytes).unwrap().unwrap();
    let relation = relation::from_message(
        &message,
        relation::Context::default(),
        &vec!["text".into(); message.columns.len()],
    );
    collector.relations.learn(relation);
}

fn text(text: &str) -> Owned {
    Some(Some(text.as_bytes().to_vec()))
}

const NULL: Owned = Some(None);
const UNCHANGED: Owned = None;

fn take(collector: &mut Collector, made: &Made) {
    assert!(collector.take(&encode(made)).unwrap().is_none());
}

fn refused(collector: &mut Collector, made: &Made) -> String {
    let error = collector.take(&encode(made)).unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }) && !error.is_transient(), "{error}");
    error.to_string()
}

#[test]
fn a_transaction_becomes_a_batch_with_its_commit() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(&mut collector, &Made::Insert(1, vec![text("1"), NULL]));
    take(&mut collector, &Made::Delete(1, OldImage::Key, vec![text("1"), NULL]));
    assert!(collector.in_transaction());
    collector.commit(Lsn(120)).unwrap();
    let batch = collector.cut();
    assert_eq!(batch.order.len(), 3);
    assert_eq!((batch.rows(), batch.end()), (2, Some(Lsn(120))));
    assert!(collector.is_empty() && !collector.in_transaction());
}

#[test]
fn our_own_tables_are_a_position_and_not_data() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(&mut collector, &Made::Insert(2, vec![text("1"), NULL]));
    take(&mut collector, &Made::Truncate(vec![2], false, false));
    collector.commit(Lsn(120)).unwrap();
    assert!(collector.is_empty() && collector.has_heartbeat());
    collector.heartbeat();
    assert_eq!(collector.cut().order, [Step::Heartbeat(Lsn(120))]);
    assert!(!collector.has_heartbeat());
}

#[test]
fn truncate_keeps_the_tables_that_are_data() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(&mut collector, &Made::Truncate(vec![2, 1], true, true));
    let batch = collector.cut();
    let Some(Walk::Truncate(truncate)) = batch.walk().nth(1) else { panic!("{batch:?}") };
    assert_eq!(truncate.relations.len(), 1);
    assert!(truncate.cascade && truncate.restart_identity);
}

#[test]
fn logical_messages_and_origins_are_not_data() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(&mut collector, &Made::Origin("elsewhere".into()));
    take(&mut collector, &Made::Logical("pgstream.ddl".into(), b"DROP TABLE t".to_vec()));
    collector.commit(Lsn(120)).unwrap();
    assert!(collector.is_empty());
}

#[test]
fn keepalives_count_between_transactions_only_and_never_go_back() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.keepalive(Lsn(90));
    assert!(!collector.has_heartbeat());
    collector.keepalive(Lsn(105));
    collector.begin(transaction(110)).unwrap();
    collector.keepalive(Lsn(500));
    assert!(!collector.has_heartbeat(), "not inside a transaction");
    take(&mut collector, &Made::Insert(1, vec![text("1"), NULL]));
    collector.commit(Lsn(120)).unwrap();
    assert!(!collector.has_heartbeat(), "the commit is further");
    collector.keepalive(Lsn(130));
    collector.heartbeat();
    assert_eq!(collector.cut().order.last(), Some(&Step::Heartbeat(Lsn(130))));
}

#[test]
fn an_unchanged_value_is_filled_from_an_old_image_that_has_it() {
    let cases = [
        (ReplicaIdentity::Full, OldImage::Full, text("long"), Value::Present(b"long".as_slice())),
        (ReplicaIdentity::Full, OldImage::Full, NULL, Value::Null),
        (ReplicaIdentity::Default, OldImage::Key, NULL, Value::Unchanged),
    ];
    for (identity, kind, old, want) in cases {
        let mut collector = collector(identity);
        collector.begin(transaction(110)).unwrap();
        let update = Made::Update(1, Some((kind, vec![text("1"), old])), vec![text("2"), UNCHANGED]);
        take(&mut collector, &update);
        assert_eq!(collector.cut().chunks[0].new.value(1, 0), want);
    }
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(
        &mut collector,
        &Made::Update(1, Some((OldImage::Key, vec![text("k"), NULL])), vec![UNCHANGED, text("v")]),
    );
    assert_eq!(collector.cut().chunks[0].new.value(0, 0), Value::Present(b"k"), "a long key");
}

#[test]
fn what_the_protocol_forbids_is_an_error_that_tells_no_value() {
    let insert = Made::Insert(1, vec![text("secret"), NULL]);
    assert!(refused(&mut collector(ReplicaIdentity::Default), &insert).contains("outside of a transaction"));

    let mut inside = collector(ReplicaIdentity::Default);
    inside.begin(transaction(110)).unwrap();
    assert!(inside.begin(transaction(111)).is_err());
    assert!(refused(&mut inside, &Made::Insert(9, vec![text("secret")])).contains("table 9"));
    let short = refused(&mut inside, &Made::Insert(1, vec![text("secret")]));
    assert!(short.contains("public.t has 1 values for 2 columns") && !short.contains("secret"), "{short}");
    assert!(collector(ReplicaIdentity::Default).commit(Lsn(1)).is_err());
}

#[test]
fn a_batch_is_full_by_rows_by_bytes_and_by_transactions() {
    let mut rows = collector(ReplicaIdentity::Default);
    rows.begin(transaction(110)).unwrap();
    for _ in 0..1000 {
        assert!(!rows.is_full());
        take(&mut rows, &Made::Insert(1, vec![text("1"), NULL]));
    }
    assert!(rows.is_full());

    let mut bytes = collector(ReplicaIdentity::Default);
    bytes.begin(transaction(110)).unwrap();
    take(&mut bytes, &Made::Insert(1, vec![text("1"), text(&"x".repeat(256 * 1024))]));
    assert!(bytes.is_full());
    let _ = bytes.cut();
    assert!(!bytes.is_full());
}

#[test]
fn a_new_version_of_a_table_is_a_chunk_of_its_own() {
    let mut collector = collector(ReplicaIdentity::Default);
    collector.begin(transaction(110)).unwrap();
    take(&mut collector, &Made::Insert(1, vec![text("1"), NULL]));
    let columns = vec![(true, "id".to_owned(), 20, -1)];
    describe(
        &mut collector,
        &Made::Relation(1, "public".into(), "t".into(), ReplicaIdentity::Default, columns),
    );
    take(&mut collector, &Made::Insert(1, vec![text("2")]));
    let batch = collector.cut();
    assert_eq!(batch.chunks.len(), 2);
    assert_eq!((batch.chunks[0].new.columns().len(), batch.chunks[1].new.columns().len()), (2, 1));
}

proptest! {
    #[test]
    fn no_sequence_of_messages_panics(messages in proptest::collection::vec(made(), 0..40)) {
        let mut collector = collector(ReplicaIdentity::Full);
        for made in &messages {
            let bytes = encode(made);
            if let Ok(Some(message)) = collector.take(&bytes) {
                let types = vec![String::new(); message.columns.len()];
                collector.relations.learn(relation::from_message(&message, relation::Context::default(), &types));
            }
            if collector.is_full() {
                let _ = collector.cut();
            }
        }
        let batch = collector.cut();
        prop_assert!(batch.walk().count() <= messages.len() + 1);
    }
}
