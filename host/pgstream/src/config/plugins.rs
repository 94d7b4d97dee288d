//! Reads `plugins` and `security`: components beside the standard ones, and the root key.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use modify::PluginOptions;

use super::problem::Fault;
use super::section::Section;

/// The variable that holds the root key where the file names none.
const ROOT_KEY: &str = "PGSTREAM_ROOT_KEY";

/// Reads the list `plugins`; paths are relative to `folder`.
pub(super) fn read(root: &mut Section<'_>, folder: &Path) -> Vec<PluginOptions> {
    let mut names = HashMap::new();
    let plugins = root.each("plugins", |section| {
        let plugin = read_plugin(section, folder);
        if let Some(name) = plugin.as_ref().and_then(|plugin| plugin.name.clone()) {
            section.refuse_twice(&mut names, name, "name");
        }
        plugin
    });
    plugins.into_iter().flatten().collect()
}

fn read_plugin(section: &mut Section<'_>, folder: &Path) -> Option<PluginOptions> {
    let file = read_use(section, folder);
    let name = section.text("name");
    let offer = section.text("offer");
    let settings = section.object("settings");
    let tables = section.texts("tables");
    let mut grants = Vec::new();
    for text in section.texts("grant") {
        match text.parse() {
            Ok(grant) => grants.push(grant),
            Err(_) => section
                .refuse("grant", format!("`{text}` is not one of clock, random, env:NAME, read:/directory")),
        }
    }
    let limits = section.section("limits", read_limits);
    Some(PluginOptions { file: file?, name, offer, settings, tables, grants, limits })
}

fn read_use(section: &mut Section<'_>, folder: &Path) -> Option<PathBuf> {
    let text = section.required("use", "the path of a component, such as ./mine.wasm")?;
    if !text.contains('/') && !text.ends_with(".wasm") {
        let instead = Some("plugins by name come with the registry; give a path, such as ./mine.wasm");
        section.problem("use", Fault::NotBuilt { instead });
        return None;
    }
    Some(folder.join(text))
}

fn read_limits(section: &mut Section<'_>) -> plugin::Limits {
    let default = plugin::Limits::default();
    plugin::Limits {
        memory: section.bytes("memory").unwrap_or(default.memory),
        call: section.duration("call").unwrap_or(default.call),
        bind: section.duration("bind").unwrap_or(default.bind),
        output: section.bytes("output").unwrap_or(default.output),
        incidents: section
            .whole("incidents")
            .map_or(default.incidents, |count| usize::try_from(count).unwrap_or(usize::MAX)),
        incident_window: section.duration("incident_window").unwrap_or(default.incident_window),
    }
}

/// Reads `security.root_key`, and the key from where it says.
pub(super) fn read_root_key(
    root: &mut Section<'_>,
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> Option<plugin::RootKey> {
    root.section("security", |security| {
        security.section("root_key", |section| {
            let (file, variable) = (section.text("file"), section.text("env"));
            match (file, variable) {
                (Some(_), Some(_)) => {
                    section.refuse("env", "stands beside file, and only one of the two may be given");
                    None
                }
                (Some(file), None) => match std::fs::read_to_string(folder.join(file)) {
                    Ok(text) => parse_key(section, "file", &text),
                    Err(error) => {
                        section.refuse("file", format!("cannot be read: {error}"));
                        None
                    }
                },
                (None, Some(name)) => match environment.get(&name) {
                    Some(text) => parse_key(section, "env", text),
                    None => {
                        section.problem("env", Fault::Unset { name });
                        None
                    }
                },
                (None, None) => {
                    let text = environment.get(ROOT_KEY).filter(|text| !text.is_empty())?;
                    parse_key(section, "env", text)
                }
            }
        })
    })
}

fn parse_key(section: &mut Section<'_>, key: &'static str, text: &str) -> Option<plugin::RootKey> {
    let parsed = plugin::RootKey::from_hex(text);
    if parsed.is_err() {
        section.refuse(key, "expected 64 hexadecimal digits (make them with `openssl rand -hex 32`)");
    }
    parsed.ok()
}
