//! Files that are no plugins, and rules that no plugin can follow: told before any server is asked.

use crate::tool::{Ended, Folder, NOWHERE, config, configured, pgstream};

/// The first eight bytes of a component.
const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component that exports one empty instance of this name.
fn component_that_exports(name: &str) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    // Instance section: one instance, made of no exports.
    bytes.extend([0x05, 0x03, 0x01, 0x01, 0x00]);
    // Export section: one export, a plain name, sort instance, index 0, no type.
    let mut exports = vec![0x01, 0x00, u8::try_from(name.len()).unwrap()];
    exports.extend(name.as_bytes());
    exports.extend([0x05, 0x00, 0x00]);
    bytes.extend([0x0b, u8::try_from(exports.len()).unwrap()]);
    bytes.extend(exports);
    bytes
}

fn run_with(plugin: &std::path::Path) -> Ended {
    let plugin = plugin.to_string_lossy();
    pgstream(&["run", "--source-url", NOWHERE, "--target-url", NOWHERE, "--plugin", &plugin])
}

#[test]
fn a_file_that_is_no_plugin_is_refused_before_anything_starts() {
    let folder = Folder::new();
    run_with(&folder.path("gone.wasm")).is_error(2, "plugin::not_found", "gone.wasm", "give the path");
    std::fs::create_dir(folder.path("folder.wasm")).unwrap();
    run_with(&folder.path("folder.wasm")).is_error(2, "plugin::directory", "is a directory", "one component");
    run_with(&folder.write("empty.wasm", "")).is_error(2, "plugin::empty", "is empty", "again");
    let text = folder.write("text.wasm", "#!/bin/sh\necho hello\n");
    run_with(&text).is_error(2, "plugin::not_a_component", "not a WebAssembly component", "wasm32-wasip2");
    let module = folder.write("module.wasm", b"\0asm\x01\0\0\0");
    run_with(&module).is_error(2, "plugin::core_module", "core WebAssembly module", "component");
    let cut = folder.write("cut.wasm", [HEADER, &[0x0b, 0x40, 0x01]].concat());
    run_with(&cut).is_error(2, "plugin::invalid", "not a valid component", "again");
}

#[test]
fn a_component_of_another_world_or_version_is_refused() {
    let folder = Folder::new();
    let nothing = folder.write("nothing.wasm", HEADER);
    run_with(&nothing).is_error(2, "plugin::other_world", "another world", "transformer-plugin");
    let http = folder.write("http.wasm", component_that_exports("wasi:http/incoming-handler@0.2.0"));
    run_with(&http).is_error(2, "plugin::other_world", "wasi:http", "transformer-plugin");
    let newer = folder.write("newer.wasm", component_that_exports("pgstream:plugin/transformer@9.1.0"));
    run_with(&newer).is_error(2, "plugin::other_version", "9.1.0", "rebuild");
}

#[test]
fn a_rule_for_an_unknown_transformer_or_parameter_is_refused() {
    let rule = |rule: &str| {
        let rules = format!(
            "modifiers: {{transformations: {{table_transformers: [{{table: users, column_transformers: {{email: {rule}}}}}]}}}}"
        );
        configured(&["run"], &config(NOWHERE, NOWHERE, &rules))
    };
    rule("{name: maskng}").is_error(2, "modify::unknown_transformer", "maskng", "masking");
    let unknown = rule("{name: masking, parameters: {typ: email}}");
    unknown.is_error(2, "modify::unknown_parameter", "typ", "type");
    rule("{name: literal_string}").is_error(2, "modify::missing_parameter", "literal", "");
}

#[test]
fn several_problems_with_plugins_and_rules_are_told_at_once() {
    let more = "plugins: [{use: /gone.wasm}, {use: /lost.wasm}]\n";
    let ended = configured(&["run"], &config(NOWHERE, NOWHERE, more));
    ended.is_error(2, "modify::problems", "2 problems", "mend each");
    ended.has_remedy("give the path of a WebAssembly component");
    assert_eq!(ended.stderr.matches("/gone.wasm").count(), 1, "told once: {}", ended.stderr);
}
