//! Plugins that do harm, in the flow: the process lives, the policy holds for the bad row alone, the other rows and
//! plugins go on, memory returns, and no value is in the log.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pipeline::{PATIENCE, Rig};
use testbed::{Finished, Pgstream};

/// The value that the plugins do harm on. Nobody may print it.
const SECRET: &str = "Zebra-4711-secret";

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A component of `tests/plugins` or `tests/hostile`.
fn component(workspace: &str, name: &str) -> PathBuf {
    let path = tests_folder().join(workspace).join("target/components").join(name).with_extension("wasm");
    assert!(path.is_file(), "{} is missing: run `guests/build.sh --test-plugins` first", path.display());
    path
}

/// Rules for `public.prey` (column, offer), with the hostile transformer and its limits.
fn modifiers(on_error: &str, limits: &str, columns: &[(String, &str)]) -> String {
    let mut text = format!(
        "plugins:\n  - use: {}\n    limits: {{{limits}}}\nmodifiers:\n  transformations:\n    on_error: {on_error}\n    \
         table_transformers:\n      - schema: public\n        table: prey\n        column_transformers:\n          \
         email: {{name: masking, parameters: {{type: email}}}}\n",
        component("hostile", "hostile-transformer").display()
    );
    for (column, offer) in columns {
        writeln!(text, "          {column}: {{name: {offer}, parameters: {{value: '{SECRET}'}}}}").unwrap();
    }
    text
}

fn ddl(columns: &[(String, &str)]) -> String {
    let columns: String = columns.iter().map(|(column, _)| format!(", {column} text")).collect();
    format!(
        "CREATE TABLE public.prey (id int PRIMARY KEY, email text{columns}); \
         CREATE TABLE public.bystander (id int PRIMARY KEY, v text)"
    )
}

/// Rows from `first` to `last`; `bad` says on which of them the value of a column is the secret.
fn insert(first: i32, last: i32, columns: &[(String, &str)], bad: impl Fn(usize) -> String) -> String {
    let values: String = (0..columns.len())
        .map(|at| format!(", CASE WHEN {} THEN '{SECRET}' ELSE 'good' || i END", bad(at)))
        .collect();
    format!(
        "INSERT INTO public.prey SELECT i, 'somebody' || i || '@example.com'{values} FROM generate_series({first}, {last}) i"
    )
}

#[track_caller]
fn quotes_nothing(done: &Finished) {
    for value in ["Zebra", "somebody"] {
        assert!(!done.stderr.contains(value), "a value is in the log: {}", done.stderr);
    }
}

/// In kilobytes: `VmRSS`, or `VmHWM` for the most that there ever was.
fn memory(pgstream: &Pgstream, what: &str) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pgstream.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn harm_in_every_column_costs_one_value_each_and_everything_else_arrives() {
    let harms = [
        "loop",
        "panic",
        "panic-that-quotes",
        "recurse",
        "recurse-in-memory",
        "grow",
        "fewer-rows",
        "more-columns",
        "fewer-ends",
        "ends-backwards",
        "ends-beyond",
        "ends-in-character",
        "not-utf8",
        "nul",
        "other-shape",
        "unknown-state",
        "unchanged-state",
        "failure-of-no-row",
        "too-many-failures",
        "failure-that-quotes",
        "refuse-that-quotes",
        "huge",
        "log-flood",
        "drop-twice",
        "leak-handles",
    ];
    let mut columns: Vec<(String, &str)> =
        harms.iter().map(|harm| (format!("c_{}", harm.replace('-', "_")), *harm)).collect();
    // These do nothing wrong but to talk.
    columns.push(("talks".into(), "log-that-quotes"));
    let limits = "memory: 32MiB, call: 300ms, output: 1MiB, incidents: 0";
    let rig = Rig::start(15, &ddl(&columns), &modifiers("'null'", limits, &columns)).await;
    let mut rig = rig.unwrap();
    // Nor at the level where everybody says most.
    rig.config.push_str("logging: {level: trace}\n");
    let mut pgstream = rig.run().unwrap();
    let bad = |at: usize| 50 + 7 * at;
    rig.source(&insert(1, 400, &columns, |at| format!("i = {}", bad(at)))).await.unwrap();
    rig.source("INSERT INTO public.bystander SELECT i, 'v' || i FROM generate_series(1, 100) i")
        .await
        .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert!(pgstream.is_running());
    let value = async |sql: String| rig.server.value("target", &sql).await.unwrap();
    for (at, (column, harm)) in columns.iter().enumerate() {
        let wrong = format!("SELECT count(*) FROM public.prey WHERE {column} IS DISTINCT FROM 'GOOD' || id");
        assert_eq!(value(wrong).await, "1", "{harm}");
        let nulled = format!("SELECT coalesce({column}, 'NULL') FROM public.prey WHERE id = {}", bad(at));
        let want = if *harm == "log-that-quotes" { SECRET.to_uppercase() } else { "NULL".to_owned() };
        assert_eq!(value(nulled).await, want, "{harm}");
    }
    let raw = "SELECT count(*) FROM public.prey WHERE email NOT LIKE 'som%**%@example.com'".to_owned();
    assert_eq!(value(raw).await, "0", "the plugin beside went on");
    rig.same("SELECT id::text, v FROM public.bystander ORDER BY id").await.unwrap();
    let done = rig.drain(pgstream).await.unwrap();
    quotes_nothing(&done);
    assert!(
        done.stderr.contains("what the plugin says of rows is withheld"),
        "the level is what it should be"
    );
    assert_eq!(done.stderr.matches("DATALOSS").count(), harms.len(), "one line for each: {}", done.stderr);
}

#[tokio::test]
async fn stop_drop_and_pass_hold_for_the_bad_row_alone() {
    let columns = [("name".to_owned(), "panic"), ("other".to_owned(), "not-utf8")];
    let rows = insert(1, 200, &columns, |at| format!("i = {}", 90 + at));
    for (on_error, arrived, wrong) in [("drop", "198", "0"), ("pass-through", "200", "2"), ("stop", "0", "0")]
    {
        let rules = modifiers(on_error, "incidents: 0", &columns);
        let mut rig = Rig::start(15, &ddl(&columns), &rules).await.unwrap();
        let mut pgstream = rig.run().unwrap();
        rig.source("INSERT INTO public.bystander VALUES (1, 'before')").await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        rig.source(&rows).await.unwrap();
        let done = if on_error == "stop" {
            pgstream.finish(PATIENCE).await.unwrap()
        } else {
            rig.caught_up(&mut pgstream).await.unwrap();
            rig.drain(pgstream).await.unwrap()
        };
        quotes_nothing(&done);
        let value = async |sql: &str| rig.server.value("target", sql).await.unwrap();
        assert_eq!(value("SELECT count(*) FROM public.prey").await, arrived, "{on_error}");
        let raw = format!("SELECT count(*) FROM public.prey WHERE '{SECRET}' IN (name, other)");
        assert_eq!(value(&raw).await, wrong, "{on_error}");
        let changed = "SELECT count(*) FROM public.prey WHERE name LIKE 'GOOD%' AND other LIKE 'GOOD%'";
        assert_eq!(value(changed).await, if on_error == "stop" { "0" } else { "198" }, "{on_error}");
        assert_eq!(value("SELECT count(*) FROM public.bystander").await, "1", "{on_error}");
        if on_error == "stop" {
            assert_eq!(done.code(), Some(1), "{}", done.stderr);
            for says in [
                "modify::row_failed",
                "plugin `hostile` cannot handle a row of public.prey (column `name`, `panic`, row 89",
                "it panicked [panic]",
                "on_error: null",
            ] {
                assert!(done.stderr.contains(says), "{says} is not in {}", done.stderr);
            }
        }
    }
}

/// The engine reserves address space, so that only the resident part counts.
#[tokio::test]
async fn memory_returns_after_hundreds_of_crashes_and_never_exceeds_the_cap() {
    let columns =
        [("grows".to_owned(), "grow"), ("panics".to_owned(), "panic"), ("floods".to_owned(), "huge")];
    let rules = modifiers("drop", "memory: 24MiB, call: 10s, output: 4MiB, incidents: 0", &columns);
    let mut rig = Rig::start(15, &ddl(&columns), &rules).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    // Everything has run once.
    rig.source(&insert(1, 200, &columns, |_| "false".into())).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let before = memory(&pgstream, "VmRSS");
    let mut after = Vec::new();
    for round in 1..=4 {
        let first = round * 1_000;
        let every = [100, 10, 100];
        let rows = insert(first, first + 199, &columns, |at| format!("i % {} = {}", every[at], 3 + at));
        rig.source(&rows).await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        after.push(memory(&pgstream, "VmRSS"));
    }
    let most = memory(&pgstream, "VmHWM");
    eprintln!("resident: {before} kB before, {after:?} after each round, {most} at most");
    // The plugin's memory, what one call may give back, and what a batch and the target's session take.
    let allowed = before + ((24 + 4 + 16) << 10);
    assert!(most < allowed, "{before} kB before and {most} at most");
    assert!(after.iter().all(|now| *now < before + (16 << 10)), "{before} kB before, {after:?} after");
    assert!(after[3] < after[0] + (8 << 10), "it does not grow from round to round: {after:?}");
    let left = rig.server.value("target", "SELECT count(*) FROM public.prey WHERE id >= 1000").await.unwrap();
    // Of 200 rows 2 grow, 20 panic, 2 flood.
    assert_eq!(left, (4 * (200 - 24)).to_string());
    quotes_nothing(&rig.drain(pgstream).await.unwrap());
}

/// What is not a plugin of this version, or not the one that wrote the target, is refused before a row flows, with what
/// to do; nothing of the target changes.
#[tokio::test]
async fn components_that_do_not_fit_and_changed_rules_are_refused_at_the_start() {
    let columns = [("name".to_owned(), "none")];
    let mut rig = Rig::start(15, &ddl(&columns), &modifiers("stop", "incidents: 0", &columns)).await.unwrap();
    rig.source("INSERT INTO public.bystander VALUES (1, 'v')").await.unwrap();
    for (name, says) in [
        (
            "other-world",
            ["plugin::other_world", "does not export pgstream:plugin/transformer@0.1.0", "it exports greet"],
        ),
        (
            "other-version",
            ["plugin::other_version", "was built for pgstream:plugin@0.9.0", "cargo build --release"],
        ),
    ] {
        let file = component("plugins", name).display().to_string();
        let done = Pgstream::run_with(&["run", "--plugin", &file], &rig.config).unwrap();
        let done = done.finish(PATIENCE).await.unwrap();
        assert_eq!(done.code(), Some(2), "{name}: {}", done.stderr);
        for says in says {
            // Lines are broken at the width of the terminal.
            let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(says), "{name}: {says} is not in {text}");
        }
    }
    assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.bystander").await.unwrap(), "0");
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
    // The same plugin with another setting.
    let before = rig.config.clone();
    rig.config = rig.config.replace(SECRET, "another");
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("checkpoint::chain_changed"), "{}", done.stderr);
    rig.config = before;
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    rig.drain(pgstream).await.unwrap();
}

/// The run has read its plugin: what becomes of the file is of no matter until the next start, a crash included.
#[tokio::test]
async fn a_file_that_is_replaced_under_a_run_does_not_change_the_run() {
    let columns = [("name".to_owned(), "panic")];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wasm");
    std::fs::copy(component("hostile", "hostile-transformer"), &file).unwrap();
    let rules = modifiers("'null'", "incidents: 0", &columns).replace(
        &component("hostile", "hostile-transformer").display().to_string(),
        &file.display().to_string(),
    );
    let mut rig = Rig::start(15, &ddl(&columns), &rules).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    std::fs::write(&file, "not a component").unwrap();
    rig.source(&insert(1, 9, &columns, |_| "i = 4".into())).await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let good = "SELECT count(*) FROM public.prey WHERE name LIKE 'GOOD%'";
    assert_eq!(rig.server.value("target", good).await.unwrap(), "8");
    rig.drain(pgstream).await.unwrap();
    let done = rig.run().unwrap().finish(PATIENCE).await.unwrap();
    assert_eq!(done.code(), Some(2), "{}", done.stderr);
    assert!(done.stderr.contains("plugin::not_a_component"), "{}", done.stderr);
}
