//! What a value costs through WebAssembly: the standard mask on e-mail addresses, gathered, called and scattered as
//! in the stream, against the same source compiled for this machine: in the same place, and as the tightest loop that
//! a host without plugins could have.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Cells, Column, Relation, ReplicaIdentity, TableName, Value};
use plugin::{
    Bound, CacheDirectory, ColumnType, Engine, Limits, Rows, Rule, Running, Shape, Source, Values, gather,
    scatter,
};
use serde_json::json;
use settings::Settings;

use crate::figures::{Spread, spread};
use crate::guest::masking::{Masking, PARAMETERS};
use crate::report::{self, Report};

const TEXT: ColumnType = ColumnType::Text(None);
const SAMPLES: usize = 41;
/// Rows a call; the target is for a thousand.
const ROWS: [usize; 5] = [1, 16, 256, 1000, 4096];

/// Nanoseconds a value, for a number of rows a call.
pub struct Measured {
    rows: usize,
    wasm: Vec<f64>,
    native: Vec<f64>,
    bare: Vec<f64>,
}

/// Samples of all ways in turn, so that what slows the machine down slows all of them down.
pub fn measure() -> Vec<Measured> {
    let (mut running, bound) = start();
    let masking = native();
    let mut all = Vec::new();
    for count in ROWS {
        let emails: Vec<String> = (0..count).map(|at| format!("person{at:06}@example.com")).collect();
        let cells: Cells = emails.iter().map(|email| Value::Present(email.as_bytes())).collect();
        let (ops, committed_at) = (vec![0; count], vec![0; count]);
        let mut wasm = || through_wasm(&mut running, bound, &cells, &ops, &committed_at);
        assert_eq!(wasm(), in_place(&masking, &cells), "the mask differs between WebAssembly and native");
        let mut measured = Measured { rows: count, wasm: Vec::new(), native: Vec::new(), bare: Vec::new() };
        for _ in 0..SAMPLES {
            measured.wasm.push(nanoseconds(count, &mut wasm));
            measured.native.push(nanoseconds(count, || in_place(&masking, &cells)));
            measured.bare.push(nanoseconds(count, || bare(&masking, &cells)));
        }
        all.push(measured);
    }
    all
}

/// Table, JSON and target.
pub fn tell(all: &[Measured], report: &mut Report) -> testbed::Result<()> {
    let mut table = format!(
        "VALUE: ns a value, mask of e-mail addresses, min / median / max of {SAMPLES}\n{:>6}{:>21}{:>21}{:>21}{:>6}{:>7}\n",
        "rows", "WebAssembly", "native, in its place", "native, bare loop", "x", "x bare"
    );
    let show = |Spread { low, middle, high }| {
        let digits = if high < 1000.0 { 1 } else { 0 };
        format!("{low:.digits$} / {middle:.digits$} / {high:.digits$}")
    };
    // Of samples that were taken one after the other, so that they saw the same machine.
    let times = |ours: &[f64], theirs: &[f64]| spread(ours.iter().zip(theirs).map(|(a, b)| a / b)).middle;
    for Measured { rows, wasm, native, bare } in all {
        let (ratio, of_bare) = (times(wasm, native), times(wasm, bare));
        let [wasm, native, bare] = [wasm, native, bare].map(|samples| spread(samples.iter().copied()));
        table.push_str(&format!(
            "{rows:>6}{:>21}{:>21}{:>21}{ratio:>6.2}{:>7.2}",
            show(wasm),
            show(native),
            show(bare),
            of_bare
        ));
        if *rows == 1000 {
            let bound = report::Bound::AtMost(1.5);
            let verdict =
                report.target("value: mask through WebAssembly, of native in its place", "x", bound, ratio);
            table.push_str(&format!("  {verdict}"));
        }
        table.push('\n');
    }
    table.push_str("In its place: between the same gather and scatter. Bare: the mask's loop over the packed column alone.");
    let samples: Vec<_> = all
        .iter()
        .map(|Measured { rows, wasm, native, bare }| {
            json!({"rows": rows, "wasm_ns": wasm, "native_in_place_ns": native, "native_bare_ns": bare})
        })
        .collect();
    report.part("value", &table, json!(samples))
}

fn start() -> (Running, Bound) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../guests/target/components/mask.wasm");
    assert!(file.is_file(), "the mask is not built: run `make guests`");
    let engine = Engine::new(&CacheDirectory::Default).expect("engine");
    let plugin = engine.load(&Source::File(file)).expect("the mask");
    let mut running = plugin.start("mask", Limits::default(), Vec::new(), b"").expect("the mask starts");
    let column = Column {
        name: "email".into(),
        id: "1-1".into(),
        attnum: 1,
        type_oid: 25,
        type_name: "text".into(),
        nullable: true,
        primary: false,
        identity: false,
        unique: false,
        generated: None,
        identity_column: None,
    };
    let relation = Arc::new(Relation {
        oid: 1,
        id: "1".into(),
        name: TableName::new("public", "users"),
        replica_identity: ReplicaIdentity::Default,
        version: 0,
        columns: vec![column],
    });
    let settings = vec![("type".to_owned(), "\"email\"".to_owned())];
    let rule = Rule { offer: "masking".into(), settings, relation, targets: vec![0], key: Vec::new() };
    let (bound, _) = running.bind_transform(rule).expect("the rule is right");
    (running, bound)
}

fn native() -> Masking {
    let settings = [("type".to_owned(), "\"email\"".to_owned())];
    Masking::new(&Settings::read("masking", PARAMETERS, &settings).expect("settings")).expect("masking")
}

fn through_wasm(
    running: &mut Running,
    bound: Bound,
    cells: &Cells,
    ops: &[u8],
    committed_at: &[i64],
) -> Cells {
    let count = cells.len();
    let column = gather(cells, 0..count, 0, Shape::Text, TEXT).column;
    let rows = Rows { count, ops, committed_at, nonces: &[], seed: 0, columns: vec![column] };
    let output = running.apply(bound, &rows).expect("masked");
    let column = output.columns.into_iter().next().expect("a column");
    scatter(column, TEXT, cells, 0..count).expect("scattered").cells
}

/// As [`through_wasm`] with a function call where the component is called.
fn in_place(masking: &Masking, cells: &Cells) -> Cells {
    let count = cells.len();
    let plugin::Column { at, states, values } = gather(cells, 0..count, 0, Shape::Text, TEXT).column;
    let Values::Text(text) = &values else { panic!("asked for text") };
    let view = packed::Column::new(count as u32, &states, &text.ends, &text.data).expect("packed");
    let masked = masking.apply(&view);
    let values = Values::Text(plugin::Packed { ends: masked.ends.into(), data: masked.data.into() });
    let column = plugin::Column { at, states: states.into_owned().into(), values };
    scatter(column, TEXT, cells, 0..count).expect("scattered").cells
}

fn bare(masking: &Masking, cells: &Cells) -> packed::Packed {
    let view = packed::Column::new(cells.len() as u32, cells.states(), cells.ends(), cells.data());
    masking.apply(&view.expect("packed"))
}

/// Nanoseconds a value, over about a millisecond.
fn nanoseconds<T>(count: usize, mut work: impl FnMut() -> T) -> f64 {
    let calls = (50_000 / count).clamp(1, 5000);
    let start = Instant::now();
    for _ in 0..calls {
        black_box(work());
    }
    let taken: Duration = start.elapsed();
    taken.as_secs_f64() * 1e9 / (calls * count) as f64
}
