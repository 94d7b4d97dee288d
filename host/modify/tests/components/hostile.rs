//! Plugins that do harm: the process lives, the row that it was about is alone in what becomes of it, the plugins beside
//! go on, and no error names a value.

mod stages;

use std::time::{Duration, Instant};

use miette::Diagnostic;
use plugin::Limits;

use super::*;

/// The value that the plugin does harm on. Nobody may quote it.
const SECRET: &str = "Zebra-4711-secret";

/// Each harm with the word that the host has for it.
const HARMS: &[(&str, &str)] = &[
    ("loop", "time"),
    ("panic", "panic"),
    ("panic-that-quotes", "panic"),
    ("recurse", "stack"),
    ("recurse-in-memory", "trap"),
    ("grow", "memory"),
    ("fewer-rows", "contract"),
    ("more-rows", "contract"),
    ("fewer-columns", "contract"),
    ("more-columns", "contract"),
    ("other-column", "contract"),
    ("fewer-ends", "contract"),
    ("ends-backwards", "contract"),
    ("ends-beyond", "contract"),
    ("ends-in-character", "contract"),
    ("not-utf8", "contract"),
    ("nul", "contract"),
    ("other-shape", "contract"),
    ("unknown-state", "contract"),
    ("unchanged-state", "contract"),
    ("more-states", "contract"),
    ("failure-of-no-row", "contract"),
    ("too-many-failures", "contract"),
    ("failure-that-quotes", "failed"),
    ("refuse-that-quotes", "refused"),
    ("huge", "output"),
    ("huge-list", "output"),
    ("log-flood", "time"),
    ("drop-twice", "trap"),
    ("leak-handles", "trap"),
];

pub(super) fn hostile(name: &str) -> PluginOptions {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile/target/components");
    let file = folder.join(format!("hostile-{name}")).with_extension("wasm");
    assert!(file.is_file(), "{} is not built: run `guests/build.sh --test-plugins`", file.display());
    let limits = Limits {
        memory: 24 << 20,
        call: Duration::from_secs(10),
        bind: Duration::from_secs(10),
        output: 1 << 20,
        incidents: 0,
        ..Limits::default()
    };
    PluginOptions { limits, ..PluginOptions::new(file) }
}

/// Short limits where a test would wait for them; elsewhere a busy machine must not run into one.
fn impatient(mut plugin: PluginOptions, harm: &str) -> PluginOptions {
    match harm {
        "loop" | "log-flood" => plugin.limits.call = Duration::from_millis(50),
        "bind-loop" => plugin.limits.bind = Duration::from_millis(500),
        _ => {}
    }
    plugin
}

fn harm_rule(name: &str) -> ColumnRule {
    rule(name, json!({ "value": SECRET }))
}

/// Twenty rows, of which one is the plugin's prey.
const ROWS: usize = 20;
const PREY: usize = 13;

fn rows() -> Vec<String> {
    (0..ROWS)
        .map(|at| {
            let name = if at == PREY { SECRET.to_owned() } else { format!("good{at}") };
            format!("+ {at} person{at}@example.com {name} {at}")
        })
        .collect()
}

fn prey(relation: &Arc<Relation>) -> Batch {
    let rows = rows();
    batch(relation, &rows.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What an honest plugin makes of a row, and what became of the name of the prey.
fn expected(at: usize, prey: &str) -> String {
    let name = if at == PREY { prey.to_owned() } else { format!("GOOD{at}") };
    format!("{at} {name} {at}")
}

/// The rows without their masked column.
fn without_email(batch: &Batch) -> Vec<String> {
    let shown = shown(batch);
    assert!(shown.iter().all(|row| row.contains('*')), "the plugin beside goes on: {shown:?}");
    let parts = shown.iter().map(|row| row.split(' ').collect::<Vec<_>>());
    parts.map(|row| format!("{} {} {}", row[1], row[3], row[4])).collect()
}

fn chain_of(harm_name: &str, on_error: OnError, users: &Arc<Relation>) -> Chain {
    let columns = [("name", harm_rule(harm_name)), ("email", mask_email())];
    bound(&with_error(&columns, on_error, vec![impatient(hostile("transformer"), harm_name)]), users)
}

#[test]
fn harm_on_one_row_is_that_rows_alone_whatever_the_policy() {
    let users = users();
    for (harm, code) in HARMS {
        for (on_error, name) in
            [(OnError::Null, Some("-")), (OnError::Drop, None), (OnError::Pass, Some(SECRET))]
        {
            let mut chain = chain_of(harm, on_error, &users);
            let out =
                chain.apply(prey(&users)).unwrap_or_else(|error| panic!("{harm}, {on_error:?}: {error}"));
            let want: Vec<String> = (0..ROWS)
                .filter(|at| *at != PREY || name.is_some())
                .map(|at| expected(at, name.unwrap_or_default()))
                .collect();
            assert_eq!(without_email(&out), want, "{harm}, {on_error:?}, {code}");
            let counters = chain.counters();
            let plugin = counters.plugins.iter().find(|plugin| plugin.name == "hostile").unwrap();
            assert_eq!(plugin.failures.total(), 1, "{harm}, {on_error:?}");
            // It is as good as new for the next batch.
            let out = chain.apply(batch(&users, &["+ 1 someone@example.com next 1"])).unwrap();
            assert_eq!(without_email(&out), ["1 NEXT 1"], "{harm}");
        }
    }
}

#[test]
fn stop_says_what_where_and_what_to_do_and_quotes_nothing() {
    let users = users();
    for (harm, code) in HARMS {
        let error = chain_of(harm, OnError::Stop, &users).apply(prey(&users)).unwrap_err();
        assert_eq!(codes(&error), ["modify::row_failed"], "{harm}");
        let text = error.to_string();
        let site = format!(
            "plugin `hostile` cannot handle a row of public.users (column `name`, `{harm}`, row {PREY} of the \
             transaction committed at 0/A): "
        );
        assert!(text.starts_with(&site), "{text}");
        assert!(text.ends_with(&format!("[{code}]")), "{harm}: {text}");
        assert!(text.len() < 700 && !text.contains("Zebra") && !text.contains('\n'), "{text}");
        assert!(error.help().unwrap().to_string().contains("on_error"), "{harm}");
    }
}

#[test]
fn numbers_that_the_column_cannot_hold_are_their_rows_alone() {
    let users = users();
    for (harm, code) in
        [("out-of-range", "out_of_range"), ("not-a-number", "invalid_text"), ("other-shape", "contract")]
    {
        let columns = [("tier", rule(harm, json!({ "value": "4711" })))];
        let options = |on_error| with_error(&columns, on_error, vec![hostile("transformer")]);
        let three = || batch(&users, &["+ 1 a b 1", "+ 2 a b 4711", "+ 3 a b 3"]);
        let out = bound(&options(OnError::Null), &users).apply(three()).unwrap();
        assert_eq!(shown(&out), ["+ 1 a b 1", "+ 2 a b -", "+ 3 a b 3"], "{harm}");
        let error = bound(&options(OnError::Stop), &users).apply(three()).unwrap_err().to_string();
        assert!(error.ends_with(&format!("[{code}]")) && error.contains("column `tier`"), "{error}");
        assert!(!error.contains("4711") && !error.contains(&i64::MAX.to_string()), "{error}");
    }
}

#[test]
fn old_keys_of_a_row_that_a_plugin_does_harm_on_do_not_leave_raw() {
    let users = users_full();
    for harm in ["panic", "not-utf8", "refuse-that-quotes"] {
        let mut chain = chain_of(harm, OnError::Null, &users);
        let change = format!("= 1 someone@example.com {SECRET} 1 > 1 someone@example.com next 1");
        let gone = format!("! 2 someone@example.com {SECRET} 1");
        let out = shown(&chain.apply(batch(&users, &[&change, &gone])).unwrap());
        assert!(out.iter().all(|row| !row.contains(SECRET)), "{harm}: {out:?}");
        assert!(out[0].ends_with("NEXT 1"), "{harm}: {out:?}");
    }
}

#[test]
fn what_a_plugin_says_of_one_row_does_not_tell_another() {
    let users = users();
    let error = chain_of("failure-of-another-row", OnError::Stop, &users)
        .apply(prey(&users))
        .unwrap_err()
        .to_string();
    assert!(error.contains("row 0 of the transaction") && error.contains("is withheld"), "{error}");
    assert!(!error.contains("Zebra"), "{error}");
}

#[test]
fn an_endless_loop_in_a_thousand_rows_costs_its_limit_once_for_each_halving() {
    let users = users();
    let mut chain = chain_of("loop", OnError::Drop, &users);
    let rows: Vec<String> = (0..1_000)
        .map(|at| format!("+ {at} someone@example.com {} {at}", if at == 577 { SECRET } else { "good" }))
        .collect();
    let start = Instant::now();
    let out = chain.apply(batch(&users, &rows.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
    let took = start.elapsed();
    assert_eq!(out.rows(), 999);
    let counters = chain.counters();
    let plugin = counters.plugins.iter().find(|plugin| plugin.name == "hostile").unwrap();
    // 1000, 500, 250, 125, 63, 32, 16, 8, 4, 2, 1 rows.
    assert!(plugin.crashes <= 11, "{plugin:?}");
    // The clock of the limit ticks every 10 ms.
    assert!(took < Duration::from_millis(11 * (50 + 20) + 2_000), "{took:?}");
}

#[test]
fn whatever_a_plugin_gives_back_what_goes_on_is_well_formed() {
    let users = users();
    let columns = [("name", rule("garbage", json!({ "value": "garbage-" }))), ("email", mask_email())];
    let mut chain = bound(&with_error(&columns, OnError::Drop, vec![hostile("transformer")]), &users);
    let (mut went_on, mut dropped) = (0, 0);
    for round in 0..40 {
        let rows: Vec<String> = (0..25)
            .map(|at| match at % 5 {
                0 => format!("+ {at} person{at}@example.com garbage-{round}-{at} {at}"),
                _ => format!("+ {at} person{at}@example.com good {at}"),
            })
            .collect();
        let out = chain.apply(batch(&users, &rows.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
        // Every text is UTF-8, and every row has what the other rule made of it.
        let names: Vec<String> = shown(&out);
        assert!(names.iter().all(|row| row.starts_with("+ ") && row.contains("**")), "{names:?}");
        went_on += out.rows();
        dropped += 25 - out.rows();
    }
    assert!(went_on > 200 && dropped > 40, "{went_on} went on, {dropped} were dropped");
}
