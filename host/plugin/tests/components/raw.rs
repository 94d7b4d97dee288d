//! Components whose code is written by hand: what no compiler would make.

use std::borrow::Cow;
use std::path::Path;
use std::time::{Duration, Instant};

use miette::Diagnostic;
use plugin::{CallError, Crash, Limits, LoadError, Plugin, Rule, Source};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{ENGINE, table};

/// A transformer: definitions, the body of `describe`, and that of the guest's allocator.
fn transformer(definitions: &str, describe: &str, allocate: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {definitions}
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {allocate})
            (func (export "pgstream:plugin/about@0.1.0#describe") (result i32) {describe})
            (func (export "pgstream:plugin/transformer@0.1.0#[static]transform.bind") (param i32) (result i32)
                unreachable)
            (func (export "pgstream:plugin/transformer@0.1.0#[method]transform.apply")
                (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
            (func (export "pgstream:plugin/transformer@0.1.0#[dtor]transform") (param i32)))"#
    );
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0");
    let (package, _) = resolve.push_dir(folder).unwrap();
    let world = resolve.select_world(&[package], Some("transformer-plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

fn load(bytes: Vec<u8>) -> Result<Plugin, LoadError> {
    ENGINE.load(&Source::Bytes { name: "by hand".into(), bytes: Cow::Owned(bytes) })
}

const MEMORY: &str = r#"(memory (export "memory") 1)"#;

/// A memory of 320 pages with a description at 16 that has one offer, and these numbers written over it, each at its
/// place: 16 name, 24 version, 32 summary, 40 offers; 64 name of the offer, 72 its summary, 80 its shapes, 88 its
/// uniqueness, 92 its parameters. The letters are from 256 on.
fn described(written: &[(u32, u32)]) -> (String, String) {
    let mut definitions = String::from(
        r#"(memory (export "memory") 320)
        (data (i32.const 16) "\00\01\00\00\01\00\00\00\00\01\00\00\01\00\00\00\00\01\00\00\01\00\00\00\40\00\00\00\01\00\00\00")
        (data (i32.const 64) "\00\01\00\00\01\00\00\00\00\01\00\00\01\00\00\00\80\00\00\00\01\00\00\00\00\01")
        (data (i32.const 256) "abc\0ad")
        (data (i32.const 0x120000) "\ff")"#,
    );
    definitions.push('\n');
    let stores: String = written
        .iter()
        .map(|(at, value)| format!("(i32.store (i32.const {at}) (i32.const {value}))"))
        .collect();
    (definitions, format!("{stores} (i32.const 16)"))
}

#[track_caller]
fn refused(definitions: &str, describe: &str, code: &str, says: &str) {
    let error = load(transformer(definitions, describe, "unreachable")).unwrap_err();
    assert_eq!(error.code().unwrap().to_string(), code, "{error}");
    let text = error.to_string();
    assert!(text.contains(says) && text.contains("by hand"), "`{says}` is not in: {text}");
    assert!(text.len() < 400 && !text.contains('\n'), "{text}");
    assert!(error.help().is_some());
}

#[test]
fn one_that_is_written_by_hand_and_honest_is_loaded() {
    let (definitions, describe) = described(&[]);
    let plugin = load(transformer(&definitions, &describe, "unreachable")).unwrap();
    assert_eq!(plugin.to_string(), "a a (pgstream:plugin@0.1.0, transformer)");
}

#[test]
fn a_describe_that_never_answers_is_refused() {
    let start = Instant::now();
    refused(MEMORY, "(loop (br 0)) unreachable", "plugin::describe", "it ran longer than 5s");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[test]
fn a_component_that_never_starts_is_refused() {
    let looping = format!("{MEMORY} (func $loop (loop (br 0))) (start $loop)");
    refused(&looping, "unreachable", "plugin::describe", "it ran longer than 5s");
}

#[test]
fn descriptions_that_break_the_contract_are_refused() {
    let crash = "plugin::describe";
    let flaw = "plugin::description";
    for (written, code, says) in [
        // A name of 17 MiB, one of 1 MiB, one of several lines, one that is not UTF-8, one that is not in memory.
        (&[(20, 17 << 20)][..], crash, "it gave back more than 16777216 bytes"),
        (&[(20, 1 << 20)], flaw, "and 262144 are allowed"),
        (&[(20, 200)], flaw, "its name or version is longer than 100 bytes"),
        (&[(20, 5)], flaw, "its name or version has control characters"),
        (&[(16, 0x12_0000)], crash, "it trapped (invalid utf-8"),
        (&[(16, 320 << 16), (20, 9)], crash, "it trapped ("),
        (&[(16, u32::MAX), (20, u32::MAX)], crash, "it trapped ("),
        // Half a million offers, all in the same place; more than there is memory; at an odd address.
        (&[(44, 500_000)], crash, "it gave back more than 16777216 bytes"),
        (&[(44, u32::MAX)], crash, "it trapped ("),
        (&[(40, 65)], crash, "it trapped ("),
        // The same offer twice would be: four shapes of which one does not exist, a uniqueness that does not exist.
        (&[(84, 4), (128, 0x4D00_0000)], crash, "it trapped ("),
        (&[(88, 77)], crash, "it trapped ("),
        (&[(44, 0)], flaw, "it offers nothing"),
        (&[(68, 0)], flaw, "an offer has no name"),
    ] {
        let (definitions, describe) = described(written);
        refused(&definitions, &describe, code, says);
    }
}

#[test]
fn memory_and_tables_count_against_one_limit() {
    let wanted = "it wanted more than 64 MiB of memory";
    refused(r#"(memory (export "memory") 2000)"#, "unreachable", "plugin::describe", wanted);
    let grow = "(drop (memory.grow (i32.const 2000))) unreachable";
    refused(MEMORY, grow, "plugin::describe", wanted);
    // Sixty tables of 4 MiB each.
    let tables: String = (0..60).map(|at| format!("(table $t{at} 0 funcref)")).collect();
    let grow: String =
        (0..60).map(|at| format!("(drop (table.grow $t{at} (ref.null func) (i32.const 500000)))")).collect();
    refused(&format!("{MEMORY} {tables}"), &format!("{grow} unreachable"), "plugin::describe", wanted);
    let large: String = (0..60).map(|at| format!("(table $t{at} 500000 funcref)")).collect();
    refused(&format!("{MEMORY} {large}"), "unreachable", "plugin::describe", wanted);
}

#[test]
fn an_allocator_that_points_elsewhere_costs_the_call() {
    for place in ["-16", "7", "2147483647"] {
        let (definitions, describe) = described(&[]);
        let plugin = load(transformer(&definitions, &describe, &format!("(i32.const {place})"))).unwrap();
        let mut running = plugin.start("by hand", Limits::default(), Vec::new(), b"").unwrap();
        let relation = table(&[("id", 23, "integer"), ("name", 25, "text")]);
        for _ in 0..2 {
            let rule = Rule {
                offer: "a".into(),
                settings: Vec::new(),
                relation: relation.clone(),
                targets: vec![1],
                key: Vec::new(),
            };
            let crashed = running.bind_transform(rule).unwrap_err();
            assert!(
                matches!(crashed, CallError::Crashed(Crash::Trap(_) | Crash::Panic)),
                "{place}: {crashed}"
            );
        }
    }
}
