//! The layers of the workspace: data flows from stage to stage in `pgstream` alone, so no stage knows another.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate of `host/` may depend on among our own. A crate that is not in this list fails the test: decide
/// where it belongs. `event`, `buffer`, `checkpoint`, `fault` and `postgres` are the ground that the stages stand on.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("event", &[]),
    ("schema", &["event"]),
    ("fault", &[]),
    ("postgres", &["event"]),
    ("buffer", &["event"]),
    ("checkpoint", &["event"]),
    ("plugin", &["event"]),
    ("listen", &["event", "schema", "postgres", "buffer", "checkpoint", "fault"]),
    ("modify", &["event", "schema", "plugin", "buffer", "fault"]),
    ("sink", &["event", "schema", "postgres", "buffer", "checkpoint", "fault"]),
    (
        "pgstream",
        &[
            "event",
            "schema",
            "postgres",
            "buffer",
            "checkpoint",
            "fault",
            "plugin",
            "listen",
            "modify",
            "sink",
        ],
    ),
];

#[test]
fn a_stage_depends_on_no_other_stage() {
    let crates = host_crates();
    assert!(crates.contains_key("event"), "no crates read from cargo metadata");
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into();
    let mut wrong = Vec::new();
    for (name, dependencies) in &crates {
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("host/{name} is not in the list of layers in {}", file!()));
            continue;
        };
        let ours = dependencies.iter().filter(|dependency| crates.contains_key(*dependency));
        for dependency in ours.filter(|dependency| !allowed.contains(&dependency.as_str())) {
            wrong.push(format!("{name} depends on {dependency}: {name} may know {allowed:?} only"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wasmtime_is_known_to_one_crate_alone() {
    let knowing: Vec<String> = host_crates()
        .into_iter()
        .filter(|(_, dependencies)| dependencies.iter().any(|name| name.starts_with("wasmtime")))
        .map(|(name, _)| name)
        .collect();
    assert!(knowing.iter().all(|name| name == "plugin"), "{knowing:?} depend on wasmtime");
}

/// The crates of `host/` with what their products (not their tests) depend on.
fn host_crates() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let in_host =
        |package: &&serde_json::Value| package["manifest_path"].as_str().unwrap().contains("/host/");
    let packages = metadata["packages"].as_array().unwrap().iter().filter(in_host);
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal = dependencies.filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}
