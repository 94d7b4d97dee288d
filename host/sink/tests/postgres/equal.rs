//! Whatever is folded, batched and cut: the end is that of applying row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::ReplicaIdentity::{Default, Full};
use event::{Batch, Relation};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sink::postgres::OnConflict;

use crate::place::{Build, Cell, Place, relation};

const SQL: &str = "
CREATE TABLE a (id int PRIMARY KEY, u int UNIQUE, big text, v text);
CREATE TABLE b (k1 int, k2 text, big text, PRIMARY KEY (k1, k2));
CREATE TABLE c (n numeric, s text);";

/// Tables of the source, by key; `c` has no key and counts its rows.
#[derive(Default)]
struct Model {
    a: BTreeMap<i32, (Option<i32>, String, String)>,
    b: BTreeMap<(i32, String), String>,
    c: Vec<(String, Option<String>)>,
}

struct Story {
    model: Model,
    build: Build,
    a: Arc<Relation>,
    b: Arc<Relation>,
    c: Arc<Relation>,
    open: bool,
    serial: u32,
}

fn text(value: impl ToString) -> Cell {
    Cell::Text(value.to_string())
}

fn maybe<T: ToString>(value: &Option<T>) -> Cell {
    value.as_ref().map_or(Cell::Null, |value| text(value.to_string()))
}

impl Story {
    fn new() -> Self {
        Self {
            model: Model::default(),
            build: Build::default(),
            a: relation(
                "a",
                Default,
                &[("id", "integer*"), ("u", "integer"), ("big", "text"), ("v", "text")],
            ),
            b: relation("b", Default, &[("k1", "integer*"), ("k2", "text*"), ("big", "text")]),
            c: relation("c", Full, &[("n", "numeric"), ("s", "text")]),
            open: false,
            serial: 0,
        }
    }

    fn free_u(&self, wanted: i32) -> Option<i32> {
        (!self.model.a.values().any(|row| row.0 == Some(wanted))).then_some(wanted)
    }

    /// One random step; steps that the source would refuse do nothing.
    fn step(&mut self, (op, key, other, value): (u8, i32, i32, i32)) {
        if !self.open {
            self.build.begin();
            self.open = true;
        }
        self.serial += 1;
        let v = format!("{}'\"\\,{{}}", self.serial);
        let (a, b, c) = (Arc::clone(&self.a), Arc::clone(&self.b), Arc::clone(&self.c));
        match op {
            0..=3 if !self.model.a.contains_key(&key) => {
                let row = (self.free_u(value), format!("big{}", self.serial), v);
                self.build.insert_cells(&a, &[text(key), maybe(&row.0), text(&row.1), text(&row.2)]);
                self.model.a.insert(key, row);
            }
            0..=7 => {
                let free = self.free_u(value);
                let Some(row) = self.model.a.get_mut(&key) else { return };
                row.0 = if op == 7 { None } else { free.or(row.0) };
                row.2 = v;
                let kept = op % 2 == 0;
                let big = if kept { Cell::Kept } else { text(format!("big{}", self.serial)) };
                if !kept {
                    row.1 = format!("big{}", self.serial);
                }
                let new = [text(key), maybe(&row.0), big, text(&row.2)];
                self.build
                    .builder
                    .row(&a, event::RowChange::Update { old: None, new: &crate::place::values(&new) });
            }
            8 | 9 if self.model.a.remove(&key).is_some() => {
                self.build.delete_cells(&a, &[text(key), Cell::Null, Cell::Null, Cell::Null]);
            }
            // Another key, with the large value left alone.
            10 if !self.model.a.contains_key(&other) => {
                let Some(row) = self.model.a.remove(&key) else { return };
                let old = [text(key), Cell::Null, Cell::Null, Cell::Null];
                self.build.update_cells(&a, &old, &[text(other), maybe(&row.0), Cell::Kept, text(&row.2)]);
                self.model.a.insert(other, row);
            }
            11 | 12 => {
                let at = (key, format!("k,{other}"));
                let new = [text(at.0), text(&at.1), text(&v)];
                if self.model.b.insert(at, v.clone()).is_none() {
                    self.build.insert_cells(&b, &new);
                } else {
                    self.build
                        .builder
                        .row(&b, event::RowChange::Update { old: None, new: &crate::place::values(&new) });
                }
            }
            13 => {
                let at = (key, format!("k,{other}"));
                if self.model.b.remove(&at).is_some() {
                    self.build.delete_cells(&b, &[text(at.0), text(&at.1), Cell::Null]);
                }
            }
            14 | 15 => {
                let row = (
                    ["1.0", "1.00", "NaN"][key as usize % 3].to_owned(),
                    (other % 3 > 0).then_some("x".into()),
                );
                self.build.insert_cells(&c, &[text(&row.0), maybe(&row.1)]);
                self.model.c.push(row);
            }
            16 | 17 if !self.model.c.is_empty() => {
                let at = key as usize % self.model.c.len();
                let old = [text(&self.model.c[at].0), maybe(&self.model.c[at].1)];
                if op == 16 {
                    self.model.c.remove(at);
                    self.build.delete_cells(&c, &old);
                } else {
                    self.model.c[at].1 = Some(v);
                    let new = [text(&self.model.c[at].0), maybe(&self.model.c[at].1)];
                    self.build.update_cells(&c, &old, &new);
                }
            }
            18 if value == 0 => {
                self.model.a.clear();
                self.model.c.clear();
                self.build.truncate(&[&a, &c], false);
            }
            19 | 20 => {
                self.build.commit();
                self.open = false;
            }
            21 => {
                self.build.cut();
            }
            _ => {}
        }
    }

    fn end(mut self) -> (Vec<Batch>, Model) {
        if self.open {
            self.build.commit();
        }
        (self.build.done(), self.model)
    }
}

fn want(model: &Model) -> Vec<String> {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "NULL".into());
    let a = model
        .a
        .iter()
        .map(|(id, row)| format!("a|{id}|{}|{}|{}", shown(&row.0.map(|u| u.to_string())), row.1, row.2));
    let b = model.b.iter().map(|(key, big)| format!("b|{}|{}|{big}|", key.0, key.1));
    let c = model.c.iter().map(|row| format!("c|{}|{}||", row.0, shown(&row.1)));
    let mut all: Vec<String> = a.chain(b).chain(c).collect();
    all.sort();
    all
}

async fn have(place: &Place) -> Vec<String> {
    let query =
        "SELECT 'a', id::text, u::text, big, v FROM a UNION ALL SELECT 'b', k1::text, k2, big, '' FROM b
                 UNION ALL SELECT 'c', n::text, s, '', '' FROM c";
    let mut rows = place.rows(query).await;
    rows.sort();
    rows
}

#[test]
fn folded_and_batched_in_any_way_the_target_ends_like_the_source() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = std::cell::RefCell::new(runtime.block_on(Place::with(SQL)));
    let steps = prop::collection::vec((0_u8..22, 0..5_i32, 0..5_i32, 0..6_i32), 1..120);
    let case = (steps, 1_usize..40, any::<bool>(), 0_u8..3);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&case, |(steps, rows, replica, on_conflict)| {
            let mut story = Story::new();
            steps.into_iter().for_each(|step| story.step(step));
            let (batches, model) = story.end();
            let mut place = place.borrow_mut();
            place.options.flush.rows = rows;
            place.options.disable_triggers = replica;
            place.options.on_conflict =
                [OnConflict::Error, OnConflict::Update, OnConflict::Nothing][usize::from(on_conflict)];
            let (summary, have) = runtime.block_on(async {
                place.sql("TRUNCATE a, b, c").await;
                let summary = place.apply(batches).await;
                (summary, have(&place).await)
            });
            let summary = summary.unwrap();
            prop_assert_eq!(have, want(&model));
            prop_assert_eq!(summary.all_conflicts(), 0);
            Ok(())
        })
        .unwrap();
}
