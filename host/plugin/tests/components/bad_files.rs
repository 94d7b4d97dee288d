//! Whatever a file is instead of a plugin has its own error, and each error a remedy.

use std::borrow::Cow;
use std::path::Path;

use miette::Diagnostic;
use plugin::{LoadError, Source};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use crate::{ENGINE, user};

/// A component of this world whose functions all panic.
fn dummy(wit: &str, world: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// The contract as one text, changed.
fn contract(change: impl Fn(String) -> String) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/v0");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let plugin = read("plugin.wit");
    let (_, plugin) = plugin.split_once(';').unwrap();
    change(format!("{}\n{plugin}", read("data.wit")))
}

fn load(bytes: Vec<u8>) -> LoadError {
    ENGINE.load(&Source::Bytes { name: "test".into(), bytes: Cow::Owned(bytes) }).unwrap_err()
}

fn load_file(path: &Path) -> LoadError {
    ENGINE.load(&Source::File(path.into())).unwrap_err()
}

#[track_caller]
fn check(error: &LoadError, code: &str, says: &[&str]) {
    assert_eq!(error.code().unwrap().to_string(), code, "{error}");
    let text = format!("{error} / {}", error.help().unwrap());
    for part in says {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn files_that_are_no_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    check(&load_file(&folder.path().join("nowhere.wasm")), "plugin::not_found", &["nowhere.wasm"]);
    check(&load_file(folder.path()), "plugin::directory", &["is a directory"]);
    check(&load_file(&write("empty.wasm", b"")), "plugin::empty", &["empty.wasm is empty"]);
    check(&load_file(&write("text.wasm", b"hello, world")), "plugin::not_a_component", &["wasm32-wasip2"]);
    check(
        &load_file(&write("core.wasm", b"\0asm\x01\0\0\0")),
        "plugin::core_module",
        &["wasm-tools component new"],
    );
    check(
        &load_file(&write("cut.wasm", b"\0asm\x0d\0\x01\0\x07\x99")),
        "plugin::invalid",
        &["may be cut short"],
    );
    let large = std::fs::File::create(folder.path().join("large.wasm")).unwrap();
    large.set_len(65 << 20).unwrap();
    check(&load_file(&folder.path().join("large.wasm")), "plugin::too_large", &["68157440", "67108864"]);
}

#[test]
fn a_component_of_another_world_says_what_it_exports() {
    let error = load(dummy("package a:b; interface greet { hello: func(); } world w { export greet; }", "w"));
    check(&error, "plugin::other_world", &["pgstream:plugin/transformer@0.1.0", "it exports a:b/greet"]);
    check(&load_file(&user("other-world")), "plugin::other_world", &["it exports greet"]);
}

#[test]
fn a_component_of_another_version_says_both() {
    let error = load(dummy(&contract(|wit| wit.replace("0.1.0", "0.9.0")), "transformer-plugin"));
    check(&error, "plugin::other_version", &["pgstream:plugin@0.9.0", "has 0.1.x", "cargo build --release"]);
    check(&load_file(&user("other-version")), "plugin::other_version", &["0.9.0", "0.1.x"]);
}

#[test]
fn an_import_that_no_plugin_is_given_is_named() {
    let wit = contract(|wit| {
        wit.replace(
            "world filter-plugin { import host;",
            "world filter-plugin { import host; import db: func();",
        )
    });
    check(&load(dummy(&wit, "filter-plugin")), "plugin::unknown_import", &["`db`"]);
}

#[test]
fn two_kinds_in_one_component_are_refused() {
    let wit = contract(|wit| wit.replace("export transformer; }", "export transformer; export filter; }"));
    check(&load(dummy(&wit, "transformer-plugin")), "plugin::ambiguous", &["transformer", "filter"]);
}

#[test]
fn a_plugin_without_about_is_refused() {
    let wit = contract(|wit| wit.replace("export about; export injector;", "export injector;"));
    check(&load(dummy(&wit, "injector-plugin")), "plugin::other_world", &["pgstream:plugin/about@0.1.0"]);
}

#[test]
fn other_types_under_the_same_names_are_refused() {
    let wit = contract(|wit| wit.replace("result<list<u8>, string>", "result<list<u16>, string>"));
    check(&load(dummy(&wit, "filter-plugin")), "plugin::contract_types", &["rebuild the plugin"]);
}

#[test]
fn a_plugin_that_panics_in_describe_is_refused() {
    check(&load(dummy(&contract(|wit| wit), "transformer-plugin")), "plugin::describe", &["it panicked"]);
}
