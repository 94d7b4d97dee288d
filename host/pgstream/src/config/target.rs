//! Reads `target`: the database, batches, what happens to rows that are there already.

use std::collections::BTreeSet;
use std::time::Duration;

use sink::postgres::{Ddl, Destructive, OnConflict, Options, Rewriting};

use super::ready::{BATCH_BYTES, BATCH_ROWS, Destination, QUEUE_BYTES, Target};
use super::section::Section;
use super::source;

/// Reads the section `target`; an absent one is a problem only where it is `required`.
pub(super) fn read(root: &mut Section<'_>, required: bool) -> Option<Destination> {
    if !required && !root.has("target") {
        return None;
    }
    root.section("target", |target| {
        target.not_built(&["kafka", "search", "webhooks"]);
        let kind = target.choice("kind", &[("postgres", Kind::Postgres), ("stdout", Kind::Stdout)]);
        let (enabled, stdout) = target.section("stdout", read_stdout);
        // `stdout: {}` has nothing in it, and asks for something all the same.
        let is_there = target.has("stdout") && enabled;
        if kind.is_none() && is_there && target.has("postgres") {
            target.refuse("stdout", "expected one target, or `kind` (`--target`) to say which of them");
        }
        let prints = kind.map_or(is_there, |kind| kind == Kind::Stdout);
        // What is not wanted has to be right all the same.
        let postgres =
            if prints && !target.has("postgres") { None } else { target.section("postgres", read_postgres) };
        if prints { Some(stdout) } else { postgres.map(|target| Destination::Postgres(Box::new(target))) }
    })
}

/// Which target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Stdout,
}

/// Whether it is switched on, and what it is.
fn read_stdout(section: &mut Section<'_>) -> (bool, Destination) {
    let enabled = section.flag("enabled").unwrap_or(true);
    let queue_bytes = section.bytes("max_queue_bytes").unwrap_or(QUEUE_BYTES);
    (enabled, Destination::Stdout { queue_bytes })
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
    let ddl = read_ddl(section);
    section.not_built(&["bulk_ingest"]);
    let retry = source::read_retry(section);
    let postgres =
        Options { url: url?, flush, on_conflict, disable_triggers, ddl, heartbeat: Options::HEARTBEAT };
    Some(Target { postgres, queue_bytes, retry })
}

/// What becomes of changes of the schema.
fn read_ddl(section: &mut Section<'_>) -> Ddl {
    let ignore = section.flag("ignore_ddl").unwrap_or(false);
    let included = read_kinds(section, "include_ddl_object_types");
    let excluded = read_kinds(section, "exclude_ddl_object_types");
    if included.is_some() && excluded.is_some() {
        section.refuse("exclude_ddl_object_types", "expected this or include_ddl_object_types, not both");
    }
    let excluded = match included {
        Some(included) => schema::Kind::ALL.into_iter().filter(|kind| !included.contains(kind)).collect(),
        None => excluded.unwrap_or_default(),
    };
    let actions = [("apply", Destructive::Apply), ("stop", Destructive::Stop), ("keep", Destructive::Keep)];
    let destructive = section.choice("destructive_ddl", &actions).unwrap_or_default();
    let actions = [("stop", Rewriting::Stop), ("copy", Rewriting::Copy)];
    let rewriting = section.choice("rewriting_ddl", &actions).unwrap_or_default();
    let owners_and_grants = section.flag("owners_and_grants").unwrap_or(false);
    let lock_timeout = section.duration("ddl_lock_timeout").unwrap_or(Ddl::LOCK_TIMEOUT);
    Ddl { ignore, excluded, destructive, rewriting, owners_and_grants, lock_timeout }
}

/// Kinds of objects, in the singular or the plural; `None` where nothing is written.
fn read_kinds(section: &mut Section<'_>, key: &'static str) -> Option<BTreeSet<schema::Kind>> {
    if !section.has(key) {
        return None;
    }
    let mut kinds = BTreeSet::new();
    for word in section.texts(key) {
        let singular = match word.as_str() {
            "indexes" | "indices" => "index",
            "policies" => "policy",
            "statistics" => "statistics object",
            "columns" | "column" => "table column",
            "constraints" | "constraint" => "table constraint",
            other => other.strip_suffix('s').unwrap_or(other),
        };
        match schema::Kind::of_name(singular) {
            // A table is not much without its parts.
            Some(schema::Kind::Table) => {
                kinds.extend([schema::Kind::Table, schema::Kind::Column, schema::Kind::Constraint])
            }
            Some(kind) => kinds.extend([kind]),
            None => {
                let known: Vec<String> =
                    schema::Kind::ALL.iter().map(|kind| kind.name().replace(' ', "_")).collect();
                section.refuse(key, format!("`{word}` is no kind of object: {}", known.join(", ")));
            }
        }
    }
    Some(kinds)
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
