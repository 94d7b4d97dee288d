//! Usage and configuration: no server is needed to be told that these are wrong.

use crate::tool::{Folder, NOWHERE, command, config, configured, pgstream};

#[test]
fn help_fits_a_terminal_and_hides_what_is_not_built() {
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["init", "--help"],
        &["status", "--help"],
        &["snapshot", "--help"],
        &["destroy", "-h"],
    ] {
        let ended = pgstream(arguments);
        ended.is_done();
        let wide: Vec<&str> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{arguments:?}: {wide:#?}");
        for hidden in ["tear-down", "--profile"] {
            assert!(!ended.stdout.contains(hidden), "{hidden} in {}", ended.stdout);
        }
    }
    let help = pgstream(&["--help"]).stdout;
    for command in ["init", "run", "snapshot", "status", "destroy", "Exit codes"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    assert_eq!(
        pgstream(&["--version"]).is_done().stdout,
        format!("pgstream {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn usage_errors_end_with_2() {
    for arguments in [
        &[][..],
        &["fly"],
        &["run", "--fly"],
        &["run", "--source", "mysql"],
        &["init", "--slot-only", "--migrations-only"],
    ] {
        assert_eq!(pgstream(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn flags_and_commands_that_are_not_built_are_refused_by_name() {
    for (arguments, named) in [
        (&["run", "--profile", "--source-url", NOWHERE][..], "--profile"),
        (&["run", "--data-only"], "--data-only"),
        (&["run", "--source", "kafka"], "--source kafka"),
        (&["run", "--target", "opensearch"], "--target opensearch"),
        (&["validate", "rules", "-f", "rules.yaml"], "pgstream validate"),
        (&["check", "--json"], "pgstream check"),
        (&["plugin", "list"], "pgstream plugin"),
    ] {
        let message = format!("`{named}` is not built yet in this version");
        pgstream(arguments).is_error(2, "cli::not_built", &message, "leave it out");
    }
}

#[test]
fn all_problems_of_a_file_are_told_with_place_and_nearest_key() {
    let ended = configured(
        &["run"],
        "source:\n  postgres:\n    url: postgres://a/b\n    mode: replication\n    replicaton: {}\ntarget:\n  postgres:\n    \
         url: postgres://c/d\n    batch: {size: -1}\n",
    );
    ended.is_error(2, "config::invalid", "2 problems in the configuration", "examples/config.reference.yaml");
    assert!(ended.stderr.contains("source.postgres.replicaton ("), "{}", ended.stderr);
    assert!(ended.stderr.contains("c.yaml:5): unknown key; did you mean `replication`?"), "{}", ended.stderr);
    assert!(ended.stderr.contains("target.postgres.batch.size ("), "{}", ended.stderr);
    assert!(ended.stdout.is_empty());
}

#[test]
fn without_any_configuration_the_missing_addresses_are_told() {
    let ended = pgstream(&["run"]);
    ended.is_error(2, "config::invalid", "2 problems", "");
    assert!(ended.stderr.contains("source.postgres.url: missing"), "{}", ended.stderr);
    assert!(ended.stderr.contains("target.postgres.url: missing"), "{}", ended.stderr);
    // The target is nobody's business but the run's.
    let init = pgstream(&["init"]);
    init.is_error(2, "config::invalid", "1 problem", "");
}

#[test]
fn a_configuration_file_that_cannot_be_read_is_told_with_its_cause() {
    let ended = pgstream(&["run", "-c", "/no/such/pipeline.yaml"]);
    ended.is_error(2, "config::unreadable", "cannot read /no/such/pipeline.yaml", "-c");
    assert!(ended.stderr.contains("cause: No such file or directory"), "{}", ended.stderr);
    let folder = Folder::new();
    let file = folder.write("pipeline.toml", "");
    let ended = pgstream(&["run", "-c", &file.to_string_lossy()]);
    ended.is_error(2, "config::form", "neither", "");
}

#[test]
fn errors_are_one_json_line_with_json_logs() {
    for arguments in [&["run", "--log-format", "json"][..], &["--log-format=json", "run"]] {
        let ended = configured(arguments, "sauce: {}\n");
        assert_eq!(ended.code, Some(2));
        let line: serde_json::Value = serde_json::from_str(ended.stderr.trim()).unwrap();
        assert_eq!(line["code"], "config::invalid");
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["problems"].as_array().unwrap().len(), 4, "{line:#}");
        assert!(line["remedy"].is_string());
    }
    let file = config(NOWHERE, NOWHERE, "logging: {format: {type: json}}");
    let ended = configured(&["run"], &file);
    let last = ended.stderr.lines().last().unwrap();
    let line: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(line["code"], "postgres::unreachable", "{line:#}");
}

#[test]
fn environment_and_file_may_be_named_by_variables() {
    let folder = Folder::new();
    let file =
        folder.write("pipeline.env", "PGSTREAM_POSTGRES_LISTENER_URL=postgres://a:secret@127.0.0.1:1/b\n");
    let mut run = command(&["run"]);
    run.env("PGSTREAM_CONFIG", file).env("PGSTREAM_POSTGRES_WRITER_TARGET_URL", "postgres://c/d");
    let ended = crate::tool::Ended::of(&run.output().unwrap());
    ended.is_error(1, "postgres::unreachable", "postgres://a@127.0.0.1:1/b", "");
}

#[test]
fn warnings_are_logged_on_stderr() {
    let file = format!(
        "{}    max_connections: 3\n",
        "source:\n  postgres:\n    url: postgres://127.0.0.1:1/a\n    mode: replication\n\
        target:\n  postgres:\n    url: postgres://127.0.0.1:1/a\n"
    );
    let ended = configured(&["run"], &file);
    assert!(
        ended.stderr.contains("WARN") && ended.stderr.contains("target.postgres.max_connections"),
        "{}",
        ended.stderr
    );
    let quiet = configured(&["run", "--log-level", "error"], &file);
    assert!(!quiet.stderr.contains("WARN"), "{}", quiet.stderr);
}
