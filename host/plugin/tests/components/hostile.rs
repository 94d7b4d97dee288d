//! What a plugin can do to the host itself: to its memory, its time and its log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event::{Cells, Value};
use plugin::{Bound, CallError, ColumnType, Crash, Limits, Rows, Rule, Running, Shape, gather};

use crate::{hostile, load, table};

fn start(name: &str, limits: Limits) -> Running {
    load(hostile(name)).start("hostile", limits, Vec::new(), b"secret").unwrap()
}

fn bind(running: &mut Running, offer: &str) -> Bound {
    let settings = vec![("value".to_owned(), "\"prey\"".to_owned())];
    let settings = if offer == "flood" { Vec::new() } else { settings };
    let relation = table(&[("id", 23, "integer"), ("name", 25, "text")]);
    let rule = Rule { offer: offer.into(), settings, relation, targets: vec![1], key: Vec::new() };
    running.bind_transform(rule).unwrap().0
}

fn apply(running: &mut Running, bound: Bound, text: &str) -> Result<usize, CallError> {
    let cells: Cells = [Value::Present(text.as_bytes())].into_iter().collect();
    let column = gather(&cells, 0..1, 1, Shape::Text, ColumnType::Text(None)).column;
    let rows = Rows { count: 1, ops: &[0], committed_at: &[0], nonces: &[], seed: 0, columns: vec![column] };
    running.apply(bound, &rows).map(|output| output.columns.len())
}

#[test]
fn a_plugin_that_panics_when_it_is_let_go_of_costs_its_store_only() {
    let mut running = start("transformer", Limits::default());
    let (armed, other) = (bind(&mut running, "panic-on-drop"), bind(&mut running, "none"));
    assert_eq!(apply(&mut running, armed, "prey"), Ok(1));
    running.release(armed);
    assert_eq!(apply(&mut running, other, "prey"), Ok(1));
    assert_eq!(running.calls().restarts, 1);
}

#[test]
fn a_flood_of_calls_ends_at_the_limit_and_holds_little_of_the_host() {
    let limits = Limits { call: Duration::from_millis(200), ..Limits::default() };
    let mut running = start("flood", limits);
    let bound = bind(&mut running, "flood");
    for (what, time) in [("timers", false), ("random", true), ("much-random", false)] {
        let start = Instant::now();
        let crash = apply(&mut running, bound, what).unwrap_err();
        let right = match &crash {
            CallError::Crashed(Crash::Time(_)) => time,
            CallError::Crashed(Crash::Trap(_)) => !time,
            _ => false,
        };
        assert!(right, "{what}: {crash}");
        assert!(start.elapsed() < Duration::from_secs(5), "{what}: {:?}", start.elapsed());
        assert_eq!(apply(&mut running, bound, "peace"), Ok(1));
    }
}

#[test]
fn what_bind_says_after_a_batch_comes_out_of_a_store_that_has_seen_no_value() {
    let mut running = start("transformer", Limits::default());
    let first = bind(&mut running, "none");
    apply(&mut running, first, "prey").unwrap();
    bind(&mut running, "none");
    assert_eq!(running.calls().restarts, 1, "a new store");
    bind(&mut running, "none");
    assert_eq!(running.calls().restarts, 1, "that one has seen nothing yet");
    apply(&mut running, first, "prey").unwrap();
    assert_eq!(running.calls().crashes, 0);
}

/// Counts lines of the plugin at a level that a user sees.
struct Lines;
static LINES: AtomicU64 = AtomicU64::new(0);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO && metadata.target().starts_with("plugin")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        LINES.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_plugin_has_its_share_of_the_log_and_no_more_for_being_started_again() {
    tracing::subscriber::with_default(Lines, || {
        let mut running = start("transformer", Limits::default());
        let start = Instant::now();
        let mut seconds = 1;
        for _ in 0..20 {
            bind(&mut running, "bind-log-flood");
            running.discard();
            seconds = start.elapsed().as_secs() + 1;
        }
        let lines = LINES.load(Ordering::Relaxed);
        assert!((100..=100 * seconds).contains(&lines), "{lines} lines in {seconds} s");
    });
}
