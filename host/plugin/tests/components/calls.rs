//! Calls into running plugins: results, crashes and new stores.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use event::{Cells, Value};
use plugin::{
    CallError, ColumnType, Crash, Grant, Limits, PluginKind, Rows, Rule, Running, Shape, Values, gather,
    scatter,
};

use crate::{load, standard, table, user};

const COLUMNS: &[(&str, u32, &str)] = &[("id", 23, "integer"), ("name", 25, "text"), ("tier", 23, "integer")];

fn rule(offer: &str, settings: &[(&str, &str)], targets: &[usize]) -> Rule {
    Rule {
        offer: offer.into(),
        settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        relation: table(COLUMNS),
        targets: targets.to_vec(),
        key: Vec::new(),
    }
}

fn start(plugin: &plugin::Plugin, limits: Limits) -> Running {
    plugin.start("under test", limits, Vec::new(), b"secret").unwrap()
}

fn texts(values: &[&str]) -> Cells {
    values.iter().map(|value| Value::Present(value.as_bytes())).collect()
}

fn with_column<T>(cells: &Cells, ask: impl FnOnce(&Rows<'_>) -> T) -> T {
    let count = cells.len();
    let (ops, committed_at) = (vec![0; count], vec![0; count]);
    let column = gather(cells, 0..count, 1, Shape::Text, ColumnType::Text(None)).column;
    ask(&Rows { count, ops: &ops, committed_at: &committed_at, nonces: &[], seed: 0, columns: vec![column] })
}

fn strings(cells: &Cells) -> Vec<String> {
    cells
        .iter()
        .map(|value| match value {
            Value::Present(text) => String::from_utf8(text.to_vec()).unwrap(),
            Value::Null => "NULL".into(),
            Value::Unchanged => "UNCHANGED".into(),
        })
        .collect()
}

#[test]
fn the_standard_plugins_say_what_they_are() {
    for (name, kind, offer) in [
        ("inject", PluginKind::Injector, "identity"),
        ("filter", PluginKind::Filter, "tables"),
        ("mask", PluginKind::Transformer, "masking"),
    ] {
        let plugin = load(standard(name));
        assert_eq!(plugin.kind, kind);
        assert!(plugin.description.offer(offer).is_some(), "{name} offers {offer}");
        assert_eq!(plugin.digest_hex().len(), 64);
        assert!(plugin.to_string().ends_with(&format!("(pgstream:plugin@0.1.0, {kind})")), "{plugin}");
    }
}

#[test]
fn a_transformer_is_bound_once_and_called_with_columns() {
    for (name, offer, want) in
        [("upper", "upper", ["ANNA", "ÉMILE"]), ("reverse-p2", "reverse", ["anna", "elimé"])]
    {
        let mut running = start(&load(user(name)), Limits::default());
        let (bound, needs) = running.bind_transform(rule(offer, &[], &[1])).unwrap();
        assert_eq!((needs.writes.as_slice(), needs.reads[0].shape), ([1].as_slice(), Shape::Text));
        let source = texts(&["anna", "émile"]);
        let output = with_column(&source, |rows| running.apply(bound, rows)).unwrap();
        let column = output.columns.into_iter().next().unwrap();
        let back = scatter(column, ColumnType::Text(None), &source, 0..2).unwrap();
        assert_eq!(strings(&back.cells), want);
        assert_eq!(running.calls().calls, 1);
        assert_eq!(running.calls().restarts, 0);
    }
}

#[test]
fn a_filter_by_row_sees_whole_numbers() {
    let mut running = start(&load(user("vip-filter")), Limits::default());
    let (bound, verdict) = running.bind_filter(rule("vip", &[("min", "3")], &[])).unwrap();
    let plugin::Verdict::ByRow(reads) = verdict else { panic!("by row") };
    assert_eq!((reads[0].at, reads[0].shape), (2, Shape::Ints));
    let cells = texts(&["1", "3", "9"]);
    let column = gather(&cells, 0..3, 2, Shape::Ints, ColumnType::Int(32)).column;
    assert_eq!(column.values, Values::Ints(Cow::Borrowed(&[1, 3, 9])));
    let rows =
        Rows { count: 3, ops: &[0; 3], committed_at: &[0; 3], nonces: &[], seed: 0, columns: vec![column] };
    assert_eq!(running.keep(bound, &rows).unwrap(), [0, 1, 1]);
}

#[test]
fn what_bind_refuses_comes_in_the_plugins_words() {
    let mut running = start(&load(user("vip-filter")), Limits::default());
    let refused = running.bind_filter(rule("vip", &[("min", "[]")], &[])).unwrap_err();
    assert_eq!(refused, CallError::Refused("min must be a whole number".into()));
}

#[test]
fn a_panic_costs_the_store_and_the_next_call_has_a_new_one() {
    let mut running = start(&load(user("trap")), Limits::default());
    let (first, _) = running.bind_transform(rule("trap-on", &[("value", "\"bad\"")], &[1])).unwrap();
    let (second, _) = running.bind_transform(rule("trap-on", &[("value", "\"worse\"")], &[1])).unwrap();
    let crashed =
        with_column(&texts(&["good", "bad"]), |rows| running.apply(first, rows).map(|_| ())).unwrap_err();
    assert_eq!(crashed, CallError::Crashed(Crash::Panic));
    for bound in [first, second] {
        with_column(&texts(&["good"]), |rows| running.apply(bound, rows).map(|_| ())).unwrap();
    }
    assert_eq!((running.calls().crashes, running.calls().restarts), (1, 1));
    running.release(first);
    let gone = with_column(&texts(&["good"]), |rows| running.apply(first, rows).map(|_| ())).unwrap_err();
    assert!(matches!(gone, CallError::Breach(_)), "{gone}");
}

#[test]
fn an_endless_loop_ends_at_its_limit() {
    let limits = Limits { call: Duration::from_millis(100), ..Limits::default() };
    let mut running = start(&load(user("slow")), limits);
    let (bound, _) = running.bind_transform(rule("loop-on", &[("value", "\"bad\"")], &[1])).unwrap();
    let start = Instant::now();
    let crashed = with_column(&texts(&["bad"]), |rows| running.apply(bound, rows).map(|_| ())).unwrap_err();
    assert_eq!(crashed, CallError::Crashed(Crash::Time(limits.call)));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    with_column(&texts(&["good"]), |rows| running.apply(bound, rows).map(|_| ())).unwrap();
}

#[test]
fn memory_over_its_limit_is_a_crash_of_its_own() {
    let plugin = load(user("upper"));
    let none = Limits { memory: 64 << 10, ..Limits::default() };
    let refused = start(&plugin, none).bind_transform(rule("upper", &[], &[1])).unwrap_err();
    assert_eq!(refused, CallError::Crashed(Crash::Memory(64 << 10)));
    let little = Limits { memory: 4 << 20, ..Limits::default() };
    let mut running = start(&plugin, little);
    let (bound, _) = running.bind_transform(rule("upper", &[], &[1])).unwrap();
    let large = "x".repeat(8 << 20);
    let crashed = with_column(&texts(&[&large]), |rows| running.apply(bound, rows).map(|_| ())).unwrap_err();
    assert_eq!(crashed, CallError::Crashed(Crash::Memory(4 << 20)));
    with_column(&texts(&["small"]), |rows| running.apply(bound, rows).map(|_| ())).unwrap();
}

#[test]
fn near_the_memory_limit_a_plugin_is_started_anew_between_two_calls() {
    let limits = Limits { memory: 16 << 20, ..Limits::default() };
    let mut running = start(&load(user("upper")), limits);
    let (bound, _) = running.bind_transform(rule("upper", &[], &[1])).unwrap();
    let mut size = 1 << 20;
    while running.calls().memory <= limits.memory / 5 * 4 && size < 8 << 20 {
        let large = "x".repeat(size);
        with_column(&texts(&[&large]), |rows| running.apply(bound, rows).map(|_| ())).unwrap();
        size += 1 << 18;
    }
    with_column(&texts(&["small"]), |rows| running.apply(bound, rows).map(|_| ())).unwrap();
    let calls = running.calls();
    assert_eq!((calls.crashes, calls.restarts), (0, 1), "{calls:?}");
}

#[test]
fn more_output_than_allowed_is_a_crash_of_its_own() {
    // Nothing on top of twice the input.
    let limits = Limits { output: 0, ..Limits::default() };
    let plugin = load(user("upper"));
    let mut running = start(&plugin, limits);
    // ŉ becomes two characters, and the words of `bind` have to come back too.
    let refused = running.bind_transform(rule("upper", &[], &[1])).unwrap_err();
    assert_eq!(refused, CallError::Crashed(Crash::Output(0)));
}

#[test]
fn grants_are_tried_at_the_start() {
    let plugin = load(user("upper"));
    let start =
        |grant: &str| plugin.start("p", Limits::default(), vec![grant.parse::<Grant>().unwrap()], b"");
    assert!(
        start("clock").is_ok()
            && start("random").is_ok()
            && start("env:PATH").is_ok()
            && start("read:/tmp").is_ok()
    );
    let unset = start("env:PGSTREAM_TEST_NOT_SET").unwrap_err().to_string();
    assert_eq!(
        unset,
        "the grant `env:PGSTREAM_TEST_NOT_SET` cannot be given to plugin p: the variable is not set"
    );
    assert!(start("read:/nowhere/at/all").unwrap_err().to_string().contains("read:/nowhere/at/all"));
}

#[test]
fn incidents_in_the_window_add_up() {
    let limits = Limits { incidents: 3, incident_window: Duration::from_millis(50), ..Limits::default() };
    let mut running = start(&load(user("upper")), limits);
    assert!(!running.incident() && !running.incident() && running.incident());
    std::thread::sleep(Duration::from_millis(60));
    assert!(!running.incident());
    let mut patient = start(&load(user("upper")), Limits { incidents: 0, ..limits });
    assert!((0..100).all(|_| !patient.incident()));
}
