//! Tables as the stream and the catalog describe them, at the same moment and at different ones.

use super::*;

fn attribute(attnum: i16, name: &str, type_oid: u32) -> Attribute {
    Attribute {
        attnum,
        name: name.into(),
        dropped: false,
        type_oid,
        type_modifier: -1,
        type_name: format!("type{type_oid}"),
        nullable: attnum != 1,
        primary: attnum == 1,
        identity: attnum == 1,
        unique: attnum == 1,
        generated: None,
        identity_column: None,
    }
}

fn table(columns: Vec<Attribute>) -> Table {
    Table {
        oid: 7,
        id: None,
        name: TableName::new("public", "t"),
        identity: ReplicaIdentity::Default,
        columns,
    }
}

fn message<'a>(columns: &[(&'a str, u32)]) -> RelationMessage<'a> {
    let columns = columns.iter().enumerate().map(|(at, (name, type_oid))| ColumnMessage {
        key: at == 0,
        name,
        type_oid: *type_oid,
        type_modifier: -1,
    });
    RelationMessage {
        oid: 7,
        schema: "public",
        name: "t",
        identity: ReplicaIdentity::Default,
        columns: columns.collect(),
    }
}

fn of(table: &Table) -> Context<'_> {
    Context { table: Some(table), before: None }
}

fn ids(relation: &Relation) -> Vec<&str> {
    relation.columns.iter().map(|column| column.id.as_str()).collect()
}

#[test]
fn stream_and_catalog_of_the_same_moment_make_the_same_relation() {
    let catalog = table(vec![attribute(1, "id", 20), attribute(3, "v", 25)]);
    let from_stream = from_message(&message(&[("id", 20), ("v", 25)]), of(&catalog), &[]);
    assert_eq!(from_stream, from_catalog(&catalog, &["id".into(), "v".into()]));
    assert_eq!(ids(&from_stream), ["7-1", "7-3"]);
    assert_eq!(from_stream.columns[1].type_name, "type25");
}

#[test]
fn a_column_that_was_renamed_since_keeps_its_number() {
    let catalog = table(vec![attribute(1, "id", 20), attribute(2, "new", 25), attribute(3, "z", 25)]);
    let relation = from_message(&message(&[("id", 20), ("old", 25), ("z", 25)]), of(&catalog), &[]);
    assert_eq!(ids(&relation), ["7-1", "7-2", "7-3"]);
    assert_eq!(relation.columns[1].name, "old");
}

#[test]
fn a_column_that_was_dropped_since_is_not_taken_for_one_that_was_added() {
    let mut gone = attribute(2, "........pg.dropped.2........", 0);
    gone.dropped = true;
    let catalog = table(vec![attribute(1, "id", 20), gone, attribute(3, "added", 25)]);
    let sent = message(&[("id", 20), ("old", 25)]);
    assert_eq!(unnamed_types(&sent, of(&catalog)), [(25, -1)]);
    let relation = from_message(&sent, of(&catalog), &["text".into()]);
    assert_eq!(ids(&relation), ["7-1", "7-old"]);
    assert_eq!((relation.columns[1].attnum, relation.columns[1].type_name.as_str()), (0, "text"));
}

/// A table of version `before` became `message` on its way to what the catalog has now.
#[track_caller]
fn became(before: &[(i16, &str)], sent: &[&str], now: &[(i16, &str)], expected: &[&str]) {
    let relation = |columns: &[(i16, &str)]| {
        let columns = columns.iter().map(|(attnum, name)| {
            let dropped = name.starts_with("...");
            Attribute { dropped, ..attribute(*attnum, name, if dropped { 0 } else { 25 }) }
        });
        table(columns.collect())
    };
    let names: Vec<String> = before.iter().map(|(_, name)| (*name).to_owned()).collect();
    let before = from_catalog(&relation(before), &names);
    let catalog = relation(now);
    let context = Context { table: Some(&catalog), before: Some(&before) };
    let sent: Vec<(&str, u32)> = sent.iter().map(|name| (*name, 25)).collect();
    let sent = message(&sent);
    let types = vec!["text".to_owned(); unnamed_types(&sent, context).len()];
    assert_eq!(ids(&from_message(&sent, context, &types)), expected);
}

#[test]
fn a_column_keeps_its_number_although_the_catalog_is_ahead_by_several_changes() {
    let before = [(1, "id"), (2, "v"), (3, "w")];
    // ADD n, DROP w; then RENAME v TO name.
    became(
        &before,
        &["id", "v", "n"],
        &[(1, "id"), (2, "name"), (3, "...3"), (4, "n")],
        &["7-1", "7-2", "7-4"],
    );
    // ADD n; then DROP w, DROP n.
    became(
        &before,
        &["id", "v", "w", "n"],
        &[(1, "id"), (2, "v"), (3, "...3"), (4, "...4")],
        &["7-1", "7-2", "7-3", "7-4"],
    );
    // ADD n; then RENAME v TO name, ADD v.
    became(
        &before,
        &["id", "v", "w", "n"],
        &[(1, "id"), (2, "name"), (3, "w"), (4, "n"), (5, "v")],
        &["7-1", "7-2", "7-3", "7-4"],
    );
    // DROP w, ADD w.
    became(&before, &["id", "v", "w"], &[(1, "id"), (2, "v"), (3, "...3"), (4, "w")], &["7-1", "7-2", "7-4"]);
    // RENAME v TO name; then DROP name, and what had gone before does not count.
    became(
        &[(1, "id"), (3, "v"), (4, "w")],
        &["id", "name", "w"],
        &[(1, "id"), (2, "...2"), (3, "...3"), (4, "w")],
        &["7-1", "7-3", "7-4"],
    );
    // ADD n, ADD m; then both go with one more: they cannot be told apart.
    became(
        &before,
        &["id", "v", "w", "n"],
        &[(1, "id"), (2, "v"), (3, "w"), (4, "...4"), (5, "...5")],
        &["7-1", "7-2", "7-3", "7-n"],
    );
}

#[test]
fn a_type_that_was_changed_since_has_the_name_that_the_stream_means() {
    let catalog = table(vec![attribute(1, "id", 20), attribute(2, "v", 1700)]);
    let sent = message(&[("id", 20), ("v", 23)]);
    assert_eq!(unnamed_types(&sent, of(&catalog)), [(23, -1)]);
    let relation = from_message(&sent, of(&catalog), &["integer".into()]);
    assert_eq!(relation.columns[1].type_name, "integer");
    assert_eq!(relation.columns[1].id, "7-2");
}

#[test]
fn a_table_that_is_gone_is_described_by_the_stream_alone() {
    let relation = from_message(
        &message(&[("id", 20), ("v", 25)]),
        Context::default(),
        &["bigint".into(), "text".into()],
    );
    assert!(relation.columns[0].primary && !relation.columns[0].nullable && relation.columns[0].identity);
    assert!(!relation.columns[1].primary && relation.columns[1].nullable);
}

#[test]
fn under_identity_full_every_column_is_identity() {
    let mut sent = message(&[("id", 20), ("v", 25)]);
    sent.identity = ReplicaIdentity::Full;
    let relation = from_message(&sent, Context::default(), &["bigint".into(), "text".into()]);
    assert!(relation.columns.iter().all(|column| column.identity));
    assert!(!relation.columns[0].primary, "the stream alone does not tell");
}

#[test]
fn a_version_that_does_not_differ_keeps_its_pointer() {
    let relation = from_message(&message(&[("id", 20)]), Context::default(), &["bigint".into()]);
    let mut relations = Relations::default();
    relations.learn(relation.clone());
    let first = Arc::clone(&relations.get(7).unwrap().relation);
    relations.learn(relation.clone());
    assert!(Arc::ptr_eq(&first, &relations.get(7).unwrap().relation));
    relations.learn(Relation { replica_identity: ReplicaIdentity::Full, ..relation });
    assert!(!Arc::ptr_eq(&first, &relations.get(7).unwrap().relation));
}
