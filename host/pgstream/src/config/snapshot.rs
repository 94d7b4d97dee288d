//! Reads `source.postgres.snapshot`: what is copied at the start, and how.

use std::path::PathBuf;

use listen::snapshot::Selection;
use sink::postgres::copy::Existing;
use sink::postgres::restore::CATEGORIES;

use super::problem::Fault;
use super::ready::{RANGE_BYTES, SchemaCopy, Snapshot, WAL_WARNING_BYTES, WORKERS, What};
use super::section::Section;

/// Reads the section; one that is not there is that of every table. True if it names tables.
pub(super) fn read(section: &mut Section<'_>) -> (Snapshot, bool) {
    section.section("snapshot", |snapshot| {
        let words = [("full", What::Full), ("schema", What::Schema), ("data", What::Data)];
        let what = snapshot.choice("mode", &words).unwrap_or_default();
        let (selection, names_tables) = read_selection(snapshot);
        snapshot.without_effect(
            "recorder",
            "has no effect: the ledger is on the target, so that it cannot differ from it",
        );
        // One queue serves all schemas, so that none waits for the last table of another.
        snapshot.without_effect(
            "snapshot_workers",
            "has no effect: `data.table_workers` read the tables of all schemas",
        );
        let disable_progress = snapshot.flag("disable_progress_tracking").unwrap_or(false);
        let (workers, range_bytes, existing) = snapshot.section("data", |data| {
            data.without_effect(
                "schema_workers",
                "has no effect: `table_workers` read the tables of all schemas",
            );
            let workers = data.count("table_workers").unwrap_or(WORKERS);
            let limit = data.count("max_connections").unwrap_or(workers);
            let words = [
                ("refuse", Existing::Refuse),
                ("truncate", Existing::Truncate),
                ("append", Existing::Append),
                ("upsert", Existing::Upsert),
            ];
            let existing = data.choice("existing_rows", &words).unwrap_or_default();
            (workers.min(limit), data.bytes("batch_bytes").unwrap_or(RANGE_BYTES), existing)
        });
        let wal_warning_bytes = snapshot.bytes("wal_warning_bytes").unwrap_or(WAL_WARNING_BYTES);
        let schema = snapshot.section("schema", |schema| schema.section("pgdump_pgrestore", read_schema));
        let snapshot = Snapshot {
            what,
            selection,
            workers,
            range_bytes,
            existing,
            wal_warning_bytes,
            disable_progress,
            schema,
        };
        (snapshot, names_tables)
    })
}

fn read_selection(section: &mut Section<'_>) -> (Selection, bool) {
    let mut lists = [Vec::new(), Vec::new(), Vec::new()];
    for (list, key) in lists.iter_mut().zip(["tables", "excluded_tables", "schema_only_tables"]) {
        *list = section.texts(key);
        if let Err(error) = Selection::parse(list, &[], &[]) {
            section.refuse(key, error.to_string());
            list.clear();
        }
    }
    let [tables, excluded, schema_only] = lists;
    let names_tables = !(tables.is_empty() && excluded.is_empty() && schema_only.is_empty());
    (Selection::parse(&tables, &excluded, &schema_only).unwrap_or_default(), names_tables)
}

fn read_schema(section: &mut Section<'_>) -> SchemaCopy {
    let mut flag = |key: &'static str| section.flag(key).unwrap_or(false);
    let mut schema = SchemaCopy {
        clean: flag("clean_target_db"),
        create_database: flag("create_target_db"),
        global_objects: flag("include_global_db_objects"),
        no_owner: flag("no_owner"),
        no_privileges: flag("no_privileges"),
        ..SchemaCopy::default()
    };
    // Else nobody can read them on the target.
    schema.refresh_materialized_views = section.flag("refresh_materialized_views").unwrap_or(true);
    schema.role = section.text("role");
    let modes = [("enabled", Some(true)), ("no_passwords", Some(false)), ("disabled", None)];
    schema.roles = section.choice("roles_snapshot_mode", &modes).unwrap_or(Some(false));
    // The original's documents have the one, its code the other.
    schema.excluded_security_labels = section.texts("excluded_security_labels");
    schema.excluded_security_labels.extend(section.texts("exclude_security_labels"));
    schema.session_settings = section.texts("index_constraint_session_settings");
    schema.dump_file = section.text("dump_file").map(PathBuf::from);
    schema.programs = section.text("bin_directory").map(PathBuf::from);
    schema.included_types = object_types(section, "include_object_types");
    schema.excluded_types = object_types(section, "exclude_object_types");
    if !schema.included_types.is_empty() && !schema.excluded_types.is_empty() {
        let reason = "stands beside include_object_types, and only one of the two may be given";
        section.problem("exclude_object_types", Fault::Value { reason: reason.to_owned() });
    }
    schema
}

fn object_types(section: &mut Section<'_>, key: &'static str) -> Vec<String> {
    let words = section.texts(key);
    let known: Vec<&str> = CATEGORIES.iter().map(|(word, _)| *word).collect();
    if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
        section.refuse(key, format!("`{word}` is none of {}", known.join(", ")));
    }
    words
}
