//! Reads `target`: the database, batches, what happens to rows that are there already.

use std::time::Duration;

use sink::postgres::{OnConflict, Options};

use super::problem::Fault;
use super::ready::{BATCH_BYTES, BATCH_ROWS, QUEUE_BYTES, Target};
use super::section::Section;
use super::source;

/// Reads the section `target`; an absent one is a problem only where it is `required`.
pub(super) fn read(root: &mut Section<'_>, required: bool) -> Option<Target> {
    if !required && !root.has("target") {
        return None;
    }
    root.section("target", |target| {
        target.not_built(&["kafka", "search", "webhooks"]);
        // `stdout: {}` has nothing in it, and asks for something all the same.
        if target.has("stdout") {
            target.problem("stdout", Fault::NotBuilt { instead: None });
        }
        target.section("postgres", read_postgres)
    })
}

fn read_postgres(section: &mut Section<'_>) -> Option<Target> {
    let url = source::url(section, "the target's address, postgres://user:password@host:port/database");
    section.without_effect("max_connections", "has no effect: one connection writes, so that order is kept");
    let (flush, queue_bytes) = section.section("batch", read_batch);
    let actions =
        [("error", OnConflict::Error), ("update", OnConflict::Update), ("nothing", OnConflict::Nothing)];
    let on_conflict = section.choice("on_conflict_action", &actions).unwrap_or(OnConflict::Error);
    // As in native replication: the target gets what the source has, and its triggers do not add to it.
    let disable_triggers = section.flag("disable_triggers").unwrap_or(true);
    if section.flag("strict_mode") == Some(false) {
        section.warn("strict_mode", "has no effect: a row that cannot be written always stops the pipeline");
    }
    if section.flag("ignore_ddl") == Some(false) {
        section.problem("ignore_ddl", Fault::NotBuilt { instead: Some("schema changes are not replicated") });
    }
    section.not_built(&["include_ddl_object_types", "exclude_ddl_object_types", "bulk_ingest"]);
    let retry = source::read_retry(section);
    let postgres = Options { url: url?, flush, on_conflict, disable_triggers, heartbeat: Options::HEARTBEAT };
    Some(Target { postgres, queue_bytes, retry })
}

fn read_batch(section: &mut Section<'_>) -> (buffer::Flush, usize) {
    let rows = section.count("size").unwrap_or(BATCH_ROWS);
    let bytes = section.bytes("max_bytes").unwrap_or(BATCH_BYTES);
    // Without a timeout a batch waits for nobody: what is there is written, and what comes meanwhile is the next.
    let linger = section.duration("timeout").unwrap_or(Duration::ZERO);
    let queue_bytes = section.bytes("max_queue_bytes").unwrap_or(QUEUE_BYTES.max(bytes));
    if queue_bytes < bytes {
        section.refuse("max_queue_bytes", "expected at least max_bytes: a batch would never be full");
    }
    section.not_built_but("ignore_send_errors", Some("errors are never ignored"));
    section.not_built(&["auto_tune"]);
    (buffer::Flush { rows, bytes, linger }, queue_bytes)
}
