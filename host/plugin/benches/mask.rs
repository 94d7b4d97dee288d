//! What a value costs through WebAssembly: the standard mask on e-mail addresses, gathered, called and scattered as
//! in the stream, against the same rule as a native loop over packed columns and over owned strings.
//!
//! `cargo bench -p plugin`; the figures are the best of many samples, in nanoseconds for each value.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event::{Cells, CellsBuilder, Column, Relation, ReplicaIdentity, TableName, Value};
use plugin::{
    Bound, CacheDirectory, ColumnType, Engine, Limits, Rows, Rule, Running, Shape, Source, gather, scatter,
};

const TEXT: ColumnType = ColumnType::Text(None);

fn main() {
    let (mut running, bound) = start();
    println!("{:>6} {:>12} {:>14} {:>15}", "rows", "WebAssembly", "native packed", "native strings");
    for count in [1, 16, 256, 1024, 4096] {
        let emails: Vec<String> = (0..count).map(|at| format!("person{at:06}@example.com")).collect();
        let cells: Cells = emails.iter().map(|email| Value::Present(email.as_bytes())).collect();
        let (ops, committed_at) = (vec![0; count], vec![0; count]);
        let wasm = best(count, || through_wasm(&mut running, bound, &cells, &ops, &committed_at));
        let packed = best(count, || native_packed(&cells));
        let strings = best(count, || emails.iter().map(|email| native_string(email)).collect::<Vec<_>>());
        assert_eq!(through_wasm(&mut running, bound, &cells, &ops, &committed_at), native_packed(&cells));
        println!("{count:>6} {wasm:>9.1} ns {packed:>11.1} ns {strings:>12.1} ns");
    }
}

fn start() -> (Running, Bound) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../guests/target/components/mask.wasm");
    assert!(file.is_file(), "the mask is not built: run `make guests`");
    let engine = Engine::new(&CacheDirectory::Default).unwrap();
    let mut running =
        engine.load(&Source::File(file)).unwrap().start("mask", Limits::default(), Vec::new(), b"").unwrap();
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
    let (bound, _) = running.bind_transform(rule).unwrap();
    (running, bound)
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
    let output = running.apply(bound, &rows).unwrap();
    let column = output.columns.into_iter().next().unwrap();
    scatter(column, TEXT, cells, 0..count).unwrap().cells
}

fn native_packed(cells: &Cells) -> Cells {
    let mut out = CellsBuilder::default();
    let mut masked = Vec::with_capacity(64);
    for value in cells.iter() {
        let Value::Present(email) = value else {
            out.push(value);
            continue;
        };
        masked.clear();
        mask(email, &mut masked);
        out.push(Value::Present(&masked));
    }
    out.finish()
}

fn native_string(email: &str) -> String {
    let mut out = Vec::with_capacity(email.len() + 4);
    mask(email.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

/// `masking` of type `email`, for ASCII: four stars in the place of characters 3 to 6 of the local part.
fn mask(email: &[u8], out: &mut Vec<u8>) {
    let at = email.iter().position(|byte| *byte == b'@').unwrap_or(email.len());
    let (local, domain) = email.split_at(at);
    let (from, to) = (local.len().min(3), local.len().min(7));
    out.extend_from_slice(local.get(..from).unwrap_or_default());
    out.extend_from_slice(b"****");
    out.extend_from_slice(local.get(to..).unwrap_or_default());
    out.extend_from_slice(domain);
}

/// Nanoseconds a value, the best of many samples of about a millisecond.
fn best<T>(count: usize, mut work: impl FnMut() -> T) -> f64 {
    let rounds = (50_000 / count).max(1);
    let mut best = Duration::MAX;
    for _ in 0..40 {
        let start = Instant::now();
        for _ in 0..rounds {
            black_box(work());
        }
        best = best.min(start.elapsed());
    }
    #[allow(clippy::cast_precision_loss, reason = "some tens of thousands")]
    let values = (rounds * count) as f64;
    best.as_secs_f64() * 1e9 / values
}
