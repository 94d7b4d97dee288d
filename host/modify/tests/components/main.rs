//! The modifiers against real components: the standard ones and those of `tests/plugins` and `tests/hostile`.
//! `guests/build.sh --test-plugins` builds them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise; clippy.toml covers only functions marked as tests"
)]

mod filters;
mod hostile;
mod isolation;
mod loading;
mod replay;
mod transformers;

use std::path::PathBuf;
use std::sync::Arc;

use event::{
    Batch, BatchBuilder, Column, Image, Lsn, OldImage, Relation, ReplicaIdentity, RowChange, TableName,
    Transaction, Value, Walk,
};
use modify::{
    Chain, ColumnRule, Error, OnError, Options, PluginOptions, Problem, TableRule, Transformations,
};
use serde_json::json;

fn user(name: &str) -> PluginOptions {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/plugins/target/components");
    let file = folder.join(name).with_extension("wasm");
    assert!(file.is_file(), "{} is not built: run `guests/build.sh --test-plugins`", file.display());
    PluginOptions::new(file)
}

const KEY: &str = "pk";

/// A column: name, type oid, type, and `"pk"` for a key.
type ColumnSpec<'a> = (&'a str, u32, &'a str, &'a str);

fn table_with(name: &str, identity: ReplicaIdentity, columns: &[ColumnSpec<'_>]) -> Arc<Relation> {
    let column = |(at, (name, type_oid, type_name, key)): (usize, &ColumnSpec<'_>)| Column {
        name: (*name).into(),
        id: format!("1-{}", at + 1),
        attnum: at as i16 + 1,
        type_oid: *type_oid,
        type_name: (*type_name).into(),
        nullable: *key != KEY,
        primary: *key == KEY,
        identity: *key == KEY || identity == ReplicaIdentity::Full,
        unique: *key == KEY,
        generated: None,
        identity_column: None,
    };
    Arc::new(Relation {
        // One for each name.
        oid: name.bytes().fold(16_384, |oid, byte| oid * 31 % 1_000_003 + u32::from(byte)),
        id: "1".into(),
        name: TableName::new("public", name),
        replica_identity: identity,
        version: 0,
        columns: columns.iter().enumerate().map(column).collect(),
    })
}

/// `id` (key), `email`, `name`, `tier`.
const USERS: &[ColumnSpec<'static>] = &[
    ("id", 25, "text", KEY),
    ("email", 25, "text", ""),
    ("name", 25, "text", ""),
    ("tier", 23, "integer", ""),
];

fn users() -> Arc<Relation> {
    table_with("users", ReplicaIdentity::Default, USERS)
}

fn users_full() -> Arc<Relation> {
    table_with("users", ReplicaIdentity::Full, USERS)
}

/// `-` is null and `~` unchanged.
fn values(row: &str) -> Vec<Value<'_>> {
    row.split(' ')
        .map(|value| match value {
            "-" => Value::Null,
            "~" => Value::Unchanged,
            text => Value::Present(text.as_bytes()),
        })
        .collect()
}

/// `+ new`, `= new`, `= old > new` or `! old`, values apart by spaces.
fn batch(relation: &Arc<Relation>, changes: &[&str]) -> Batch {
    let kind =
        if relation.replica_identity == ReplicaIdentity::Full { OldImage::Full } else { OldImage::Key };
    let mut builder = BatchBuilder::default();
    builder.begin(Transaction { commit_lsn: Lsn(10), committed_at: 1_000_000, xid: 7 });
    for change in changes {
        let (op, rest) = change.split_once(' ').unwrap();
        let (first, second) = rest.split_once(" > ").unwrap_or((rest, ""));
        let (first, second) = (values(first), values(second));
        builder.row(
            relation,
            match op {
                "+" => RowChange::Insert { new: &first },
                "!" => RowChange::Delete { old: (kind, &first) },
                "=" if rest.contains(" > ") => RowChange::Update { old: Some((kind, &first)), new: &second },
                _ => RowChange::Update { old: None, new: &first },
            },
        );
    }
    builder.commit(Lsn(11));
    builder.take()
}

/// The rows of a batch as [`batch`] takes them.
fn shown(batch: &Batch) -> Vec<String> {
    let mut rows = Vec::new();
    for step in batch.walk() {
        let Walk::Row(at) = step else { continue };
        let chunk = &batch.chunks[at.chunk];
        let new = at.new.map(|row| text(&chunk.new, row));
        let old = at.old.map(|row| text(&chunk.old, row));
        rows.push(match (at.op, old, new) {
            (event::Op::Insert, None, Some(new)) => format!("+ {new}"),
            (event::Op::Update, None, Some(new)) => format!("= {new}"),
            (event::Op::Update, Some(old), Some(new)) => format!("= {old} > {new}"),
            (event::Op::Delete, Some(old), None) => format!("! {old}"),
            other => panic!("{other:?}"),
        });
    }
    rows
}

fn text(image: &Image, row: usize) -> String {
    let value = |column| match image.value(column, row) {
        Value::Present(text) => String::from_utf8(text.to_vec()).unwrap(),
        Value::Null => "-".into(),
        Value::Unchanged => "~".into(),
    };
    (0..image.columns().len()).map(value).collect::<Vec<_>>().join(" ")
}

fn rule(name: &str, parameters: serde_json::Value) -> ColumnRule {
    let parameters = parameters.as_object().unwrap().clone();
    ColumnRule { name: name.into(), parameters, ..ColumnRule::default() }
}

/// Rules for `public.users`.
fn rules(columns: &[(&str, ColumnRule)]) -> Transformations {
    let columns = columns.iter().map(|(name, rule)| ((*name).to_owned(), rule.clone())).collect();
    Transformations {
        tables: vec![TableRule {
            schema: "public".into(),
            table: "users".into(),
            validation_mode: None,
            columns,
        }],
        ..Transformations::default()
    }
}

fn mask_email() -> ColumnRule {
    rule("masking", json!({ "type": "email" }))
}

fn encrypt() -> ColumnRule {
    rule("encrypted_aes_siv", json!({ "key_hex": "0f".repeat(64) }))
}

fn with_rules(transformations: Transformations) -> Options {
    Options { transformations: Some(transformations), ..Options::default() }
}

fn with_error(columns: &[(&str, ColumnRule)], on_error: OnError, plugins: Vec<PluginOptions>) -> Options {
    let transformations = Transformations { on_error, ..rules(columns) };
    Options { transformations: Some(transformations), plugins, ..Options::default() }
}

fn bound(options: &Options, relation: &Arc<Relation>) -> Chain {
    let mut chain = Chain::load(options).unwrap();
    chain.bind(std::slice::from_ref(relation)).unwrap();
    chain
}

/// Codes of all problems, in order.
fn codes(error: &Error) -> Vec<String> {
    use miette::Diagnostic;
    let code = |problem: &Problem| problem.code().unwrap().to_string();
    match error {
        Error::Problems { problems } => problems.iter().map(code).collect(),
        other => vec![other.code().unwrap().to_string()],
    }
}
