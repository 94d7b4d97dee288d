//! One change of the load as SQL.

use super::tables::{TABLES, Table};
use crate::random::Random;

/// A statement, or some that belong together. One that meets a unique or foreign key takes its part back, as a
/// subtransaction that failed, and the transaction goes on.
pub(super) fn change(random: &mut Random) -> String {
    let Some(table) = random.pick(&TABLES) else { return String::new() };
    let statements = match random.below(24) {
        0..=7 => insert(table, random),
        8..=13 => update(table, random),
        14..=16 => delete(table, random),
        17..=19 => rekey(table, random),
        20 => swap(table, random),
        21 => come_and_go(table, random),
        22 => seats(random),
        _ => many(table, random),
    };
    format!(
        "DO $do$ BEGIN {statements} EXCEPTION WHEN unique_violation OR foreign_key_violation THEN NULL; END $do$;"
    )
}

/// Tables that are emptied together.
pub(super) fn truncate(random: &mut Random) -> &'static str {
    random
        .pick(&[
            "TRUNCATE load.plain, load.no_key, load.partitioned;",
            "TRUNCATE load.parent, load.child;",
            "TRUNCATE load.toast;",
            "TRUNCATE load.generated RESTART IDENTITY;",
        ])
        .copied()
        .unwrap_or_default()
}

fn key(table: &Table, random: &mut Random) -> u32 {
    random.below(table.keys)
}

/// Keys from `k` on, and a new number.
fn rows(k: u32, count: u32, random: &mut Random) -> String {
    let last = k + count.saturating_sub(1);
    format!("generate_series({k}, {last}) AS k(k), (VALUES ({})) AS s(v)", random.below(1_000_000))
}

fn insert(table: &Table, random: &mut Random) -> String {
    let rows = rows(key(table, random), 1 + random.below(3), random);
    insert_of(table, &rows)
}

fn insert_of(table: &Table, rows: &str) -> String {
    let Table { name, columns, values, .. } = table;
    format!("INSERT INTO {name} ({columns}) SELECT {values} FROM {rows} ON CONFLICT DO NOTHING;")
}

fn update(table: &Table, random: &mut Random) -> String {
    let rows = rows(key(table, random), 1 + random.below(4), random);
    let set = random.pick(table.sets).copied().unwrap_or_default();
    format!("UPDATE {} AS t SET {set} FROM {rows} WHERE {};", table.name, table.key)
}

fn delete(table: &Table, random: &mut Random) -> String {
    delete_of(table, key(table, random), 1 + random.below(2))
}

fn delete_of(table: &Table, k: u32, count: u32) -> String {
    format!(
        "DELETE FROM {} AS t USING generate_series({k}, {}) AS k(k) WHERE {};",
        table.name,
        k + count - 1,
        table.key
    )
}

fn rekey(table: &Table, random: &mut Random) -> String {
    let (from, to) = (key(table, random), key(table, random));
    rekey_of(table, from, to).unwrap_or_else(|| update(table, random))
}

fn rekey_of(table: &Table, from: u32, to: u32) -> Option<String> {
    let set = table.rekey?;
    Some(format!(
        "UPDATE {} AS t SET {set} FROM (VALUES ({from}, {to})) AS k(k, to_) WHERE {};",
        table.name, table.key
    ))
}

/// Two rows exchange their keys, by way of a third.
fn swap(table: &Table, random: &mut Random) -> String {
    let (one, other, free) = (key(table, random), key(table, random), table.keys + 1);
    let steps = [(one, free), (other, one), (free, other)];
    steps.into_iter().filter_map(|(from, to)| rekey_of(table, from, to)).collect()
}

/// The same key inserted, deleted and inserted, in some order.
fn come_and_go(table: &Table, random: &mut Random) -> String {
    let k = key(table, random);
    let mut statements = String::new();
    for _ in 0..2 + random.below(4) {
        if random.once_in(2) {
            statements.push_str(&delete_of(table, k, 1));
        } else {
            let rows = rows(k, 1, random);
            statements.push_str(&insert_of(table, &rows));
        }
    }
    statements
}

/// A second unique key wanders from row to row.
fn seats(random: &mut Random) -> String {
    let (one, other) = (random.below(60), random.below(60));
    format!(
        "UPDATE load.two_keys SET seat = NULL WHERE id = {one}; UPDATE load.two_keys SET seat = {one} WHERE id = {other} AND {one} <> {other}; \
         UPDATE load.two_keys SET seat = {other} WHERE id = {one};"
    )
}

/// Enough rows for a COPY, or for an array.
fn many(table: &Table, random: &mut Random) -> String {
    let rows = rows(0, table.keys, random);
    if random.once_in(2) {
        return insert_of(table, &rows);
    }
    let set = random.pick(table.sets).copied().unwrap_or_default();
    format!("UPDATE {} AS t SET {set} FROM {rows} WHERE {} AND k.k % 3 = 0;", table.name, table.key)
}
