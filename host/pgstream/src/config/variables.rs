//! The environment variables of the configuration, and the places of the tree that they set.

use std::collections::BTreeMap;

use super::node::Node;
use super::problem::{Fault, Origin, Problem};
use super::section::nearest;

/// What every variable starts with.
const PREFIX: &str = "PGSTREAM_";

/// A file of transformation rules; read by the loader, as it is a whole part of the tree.
pub(super) const RULES_FILE: &str = "PGSTREAM_TRANSFORMER_RULES_FILE";

/// Names (without the prefix) and the paths that they set. Parts of a path that are not built are refused
/// by the reader of that place, with the variable's name.
const SETTINGS: &[(&str, &[&str])] = &[
    ("LOG_LEVEL", &["logging", "level"]),
    ("LOG_FORMAT", &["logging", "format", "type"]),
    ("LOG_NO_COLOR", &["logging", "format", "no_color"]),
    ("STDOUT_WRITER_ENABLED", &["target", "stdout", "enabled"]),
    ("POSTGRES_LISTENER_URL", &["source", "postgres", "url"]),
    ("POSTGRES_REPLICATION_SLOT_NAME", &["source", "postgres", "replication", "replication_slot"]),
    ("POSTGRES_REPLICATION_PUBLICATION", &["source", "postgres", "replication", "publication"]),
    (
        "POSTGRES_REPLICATION_PUBLISH_VIA_PARTITION_ROOT",
        &["source", "postgres", "replication", "publish_via_partition_root"],
    ),
    (
        "POSTGRES_REPLICATION_PLUGIN_INCLUDE_XIDS",
        &["source", "postgres", "replication", "plugin", "include_xids"],
    ),
    (
        "POSTGRES_REPLICATION_PLUGIN_ADD_TABLES",
        &["source", "postgres", "replication", "plugin", "add_tables"],
    ),
    (
        "POSTGRES_REPLICATION_PLUGIN_FILTER_TABLES",
        &["source", "postgres", "replication", "plugin", "filter_tables"],
    ),
    ("POSTGRES_SNAPSHOT_MODE", &["source", "postgres", "snapshot", "mode"]),
    ("POSTGRES_SNAPSHOT_TABLES", &["source", "postgres", "snapshot", "tables"]),
    ("POSTGRES_SNAPSHOT_EXCLUDED_TABLES", &["source", "postgres", "snapshot", "excluded_tables"]),
    ("POSTGRES_SNAPSHOT_SCHEMA_ONLY_TABLES", &["source", "postgres", "snapshot", "schema_only_tables"]),
    ("POSTGRES_SNAPSHOT_SCHEMA_WORKERS", &["source", "postgres", "snapshot", "data", "schema_workers"]),
    ("POSTGRES_SNAPSHOT_TABLE_WORKERS", &["source", "postgres", "snapshot", "data", "table_workers"]),
    ("POSTGRES_SNAPSHOT_WORKERS", &["source", "postgres", "snapshot", "snapshot_workers"]),
    ("POSTGRES_SNAPSHOT_BATCH_BYTES", &["source", "postgres", "snapshot", "data", "batch_bytes"]),
    ("POSTGRES_SNAPSHOT_MAX_CONNECTIONS", &["source", "postgres", "snapshot", "data", "max_connections"]),
    ("POSTGRES_SNAPSHOT_EXISTING_ROWS", &["source", "postgres", "snapshot", "data", "existing_rows"]),
    ("POSTGRES_SNAPSHOT_WAL_WARNING_BYTES", &["source", "postgres", "snapshot", "wal_warning_bytes"]),
    ("POSTGRES_SNAPSHOT_STORE_URL", &["source", "postgres", "snapshot", "recorder", "postgres_url"]),
    (
        "POSTGRES_SNAPSHOT_STORE_REPEATABLE",
        &["source", "postgres", "snapshot", "recorder", "repeatable_snapshots"],
    ),
    (
        "POSTGRES_SNAPSHOT_CLEAN_TARGET_DB",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "clean_target_db"],
    ),
    (
        "POSTGRES_SNAPSHOT_CREATE_TARGET_DB",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "create_target_db"],
    ),
    (
        "POSTGRES_SNAPSHOT_INCLUDE_GLOBAL_DB_OBJECTS",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "include_global_db_objects"],
    ),
    ("POSTGRES_SNAPSHOT_ROLE", &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "role"]),
    (
        "POSTGRES_SNAPSHOT_ROLES_SNAPSHOT_MODE",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "roles_snapshot_mode"],
    ),
    (
        "POSTGRES_SNAPSHOT_NO_OWNER",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "no_owner"],
    ),
    (
        "POSTGRES_SNAPSHOT_NO_PRIVILEGES",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "no_privileges"],
    ),
    (
        "POSTGRES_SNAPSHOT_EXCLUDED_SECURITY_LABELS",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "excluded_security_labels"],
    ),
    (
        "POSTGRES_SNAPSHOT_REFRESH_MATERIALIZED_VIEWS",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "refresh_materialized_views"],
    ),
    (
        "POSTGRES_SNAPSHOT_INDEX_CONSTRAINT_SESSION_SETTINGS",
        &[
            "source",
            "postgres",
            "snapshot",
            "schema",
            "pgdump_pgrestore",
            "index_constraint_session_settings",
        ],
    ),
    (
        "POSTGRES_SNAPSHOT_INCLUDE_OBJECT_TYPES",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "include_object_types"],
    ),
    (
        "POSTGRES_SNAPSHOT_EXCLUDE_OBJECT_TYPES",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "exclude_object_types"],
    ),
    (
        "POSTGRES_SNAPSHOT_SCHEMA_DUMP_FILE",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "dump_file"],
    ),
    (
        "POSTGRES_SNAPSHOT_BIN_DIRECTORY",
        &["source", "postgres", "snapshot", "schema", "pgdump_pgrestore", "bin_directory"],
    ),
    (
        "POSTGRES_SNAPSHOT_DISABLE_PROGRESS_TRACKING",
        &["source", "postgres", "snapshot", "disable_progress_tracking"],
    ),
    ("POSTGRES_WRITER_TARGET_URL", &["target", "postgres", "url"]),
    ("POSTGRES_WRITER_MAX_CONNECTIONS", &["target", "postgres", "max_connections"]),
    ("POSTGRES_WRITER_BATCH_TIMEOUT", &["target", "postgres", "batch", "timeout"]),
    ("POSTGRES_WRITER_BATCH_SIZE", &["target", "postgres", "batch", "size"]),
    ("POSTGRES_WRITER_BATCH_BYTES", &["target", "postgres", "batch", "max_bytes"]),
    ("POSTGRES_WRITER_MAX_QUEUE_BYTES", &["target", "postgres", "batch", "max_queue_bytes"]),
    ("POSTGRES_WRITER_BATCH_IGNORE_SEND_ERRORS", &["target", "postgres", "batch", "ignore_send_errors"]),
    ("POSTGRES_WRITER_BATCH_AUTO_TUNE_ENABLE", &["target", "postgres", "batch", "auto_tune", "enabled"]),
    (
        "POSTGRES_WRITER_BATCH_AUTO_TUNE_MIN_BYTES",
        &["target", "postgres", "batch", "auto_tune", "min_batch_bytes"],
    ),
    (
        "POSTGRES_WRITER_BATCH_AUTO_TUNE_MAX_BYTES",
        &["target", "postgres", "batch", "auto_tune", "max_batch_bytes"],
    ),
    (
        "POSTGRES_WRITER_BATCH_AUTO_TUNE_CONVERGENCE_THRESHOLD",
        &["target", "postgres", "batch", "auto_tune", "convergence_threshold"],
    ),
    ("POSTGRES_WRITER_DISABLE_TRIGGERS", &["target", "postgres", "disable_triggers"]),
    ("POSTGRES_WRITER_ON_CONFLICT_ACTION", &["target", "postgres", "on_conflict_action"]),
    ("POSTGRES_WRITER_STRICT_MODE", &["target", "postgres", "strict_mode"]),
    ("POSTGRES_WRITER_BULK_INGEST_ENABLED", &["target", "postgres", "bulk_ingest", "enabled"]),
    ("POSTGRES_WRITER_BULK_INGEST_COPY_WORKERS", &["target", "postgres", "bulk_ingest", "copy_workers"]),
    ("POSTGRES_WRITER_IGNORE_DDL", &["target", "postgres", "ignore_ddl"]),
    ("POSTGRES_WRITER_INCLUDE_DDL_OBJECT_TYPES", &["target", "postgres", "include_ddl_object_types"]),
    ("POSTGRES_WRITER_EXCLUDE_DDL_OBJECT_TYPES", &["target", "postgres", "exclude_ddl_object_types"]),
    ("INJECTOR_STORE_POSTGRES_URL", &["modifiers", "injector", "source_url"]),
    ("FILTER_INCLUDE_TABLES", &["modifiers", "filter", "include_tables"]),
    ("FILTER_EXCLUDE_TABLES", &["modifiers", "filter", "exclude_tables"]),
    ("FILTER_SCHEMA_ONLY_TABLES", &["modifiers", "filter", "schema_only_tables"]),
    ("ROOT_KEY_FILE", &["security", "root_key", "file"]),
];

/// Endings of the retry variables, and their places below `retry_policy`.
const RETRY: &[(&str, &[&str])] = &[
    ("EXP_BACKOFF_INITIAL_INTERVAL", &["exponential", "initial_interval"]),
    ("EXP_BACKOFF_MAX_INTERVAL", &["exponential", "max_interval"]),
    ("EXP_BACKOFF_MAX_RETRIES", &["exponential", "max_retries"]),
    ("EXP_BACKOFF_MAX_ELAPSED_TIME", &["exponential", "max_elapsed_time"]),
    ("BACKOFF_INTERVAL", &["constant", "interval"]),
    ("BACKOFF_MAX_RETRIES", &["constant", "max_retries"]),
    ("DISABLE_RETRIES", &["disable_retries"]),
];

/// Beginnings (without the prefix) of variables for parts that this version does not have.
const NOT_BUILT: &[&str] = &[
    "KAFKA_",
    "OPENSEARCH_",
    "ELASTICSEARCH_",
    "SEARCH_",
    "WEBHOOK_",
    "PROCESSOR_SANITIZE_",
    "METRICS_",
    "TRACES_",
    "HEALTH_CHECK_",
];

/// Read elsewhere: the command line, the loader, the root key.
const ELSEWHERE: &[&str] = &["CONFIG", "TRANSFORMER_RULES_FILE", "ROOT_KEY"];

/// Puts the variables of the environment over the tree. One that is not known is nobody's mistake for
/// certain (a Kubernetes service called `pgstream` makes some), so it is a warning, and only if it looks like
/// a known one.
pub(super) fn apply_environment(
    environment: &BTreeMap<String, String>,
    tree: &mut Node,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    for (name, value) in environment {
        let origin = Origin::Variable(name.clone());
        match apply(name, value, &origin, tree) {
            Ok(()) => {}
            Err(Fault::Unknown { nearest: None, .. }) => {}
            Err(fault @ Fault::Unknown { .. }) => warnings.push(at(origin, fault)),
            Err(fault) => problems.push(at(origin, fault)),
        }
    }
}

/// Makes a tree of the variables of a `.env` file, where a name that is not known is a mistake.
pub(super) fn apply_file(
    variables: Vec<(String, String, Origin)>,
    tree: &mut Node,
    problems: &mut Vec<Problem>,
) {
    for (name, value, origin) in variables {
        if let Err(fault) = apply(&name, &value, &origin, tree) {
            problems.push(Problem { path: name, origin: Some(origin), fault });
        }
    }
}

fn at(origin: Origin, fault: Fault) -> Problem {
    Problem { path: String::new(), origin: Some(origin), fault }
}

/// Sets what one variable stands for. An empty value is as good as none.
fn apply(name: &str, value: &str, origin: &Origin, tree: &mut Node) -> Result<(), Fault> {
    let Some(short) = name.strip_prefix(PREFIX).filter(|_| !value.is_empty()) else { return Ok(()) };
    if ELSEWHERE.contains(&short) {
        return Ok(());
    }
    if NOT_BUILT.iter().any(|family| short.starts_with(family)) {
        let off = matches!(value, "false" | "0");
        return if off { Ok(()) } else { Err(Fault::NotBuilt { instead: None }) };
    }
    let Some(path) = place(short) else {
        let known = SETTINGS.iter().map(|(known, _)| *known).chain(ELSEWHERE.iter().copied());
        let nearest = nearest(short, known).map(|name| format!("{PREFIX}{name}"));
        return Err(Fault::Unknown { what: "variable", nearest });
    };
    match short {
        // The original's way to switch it on by environment.
        "INJECTOR_STORE_POSTGRES_URL" => {
            tree.set(&["modifiers", "injector", "enabled"], Node::text("true", origin.clone()));
        }
        // In place of whatever key the file names, and relative to the current folder, as paths in variables are.
        "ROOT_KEY_FILE" => {
            tree.set(&["security", "root_key"], Node::empty(origin.clone()));
            let file = std::path::absolute(value).unwrap_or_else(|_| value.into());
            tree.set(&path, Node::text(file.to_string_lossy(), origin.clone()));
            return Ok(());
        }
        _ => {}
    }
    tree.set(&path, Node::text(value, origin.clone()));
    Ok(())
}

fn place(short: &str) -> Option<Vec<&'static str>> {
    if let Some((_, path)) = SETTINGS.iter().find(|(name, _)| *name == short) {
        return Some(path.to_vec());
    }
    let (side, ending) = match short.strip_prefix("POSTGRES_LISTENER_") {
        Some(ending) => ("source", ending),
        None => ("target", short.strip_prefix("POSTGRES_WRITER_")?),
    };
    let (_, path) = RETRY.iter().find(|(name, _)| *name == ending)?;
    let mut place = vec![side, "postgres", "retry_policy"];
    place.extend_from_slice(path);
    Some(place)
}
