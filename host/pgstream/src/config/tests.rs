//! The reader as a user meets it: whole files in, ready types or lists of problems out.

use std::time::Duration;

use super::*;

/// The least that a pipeline needs.
const LEAST: &str = "
source:
  postgres:
    url: postgres://app:secret@source:5432/shop
    mode: replication
target:
  postgres:
    url: postgres://app:secret@target/shop
";

/// A file in a folder that lives as long as the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    }
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ready(text: &str, variables: &[(&str, &str)]) -> Result<Loaded<Ready>, Error> {
    let folder = Folder::new();
    let file = Some(folder.write("c.yaml", text));
    Input { file, environment: environment(variables), ..Input::default() }.ready()
}

/// The problems, one a line, without the temporary folder's name.
fn problems(text: &str, variables: &[(&str, &str)]) -> String {
    lines(ready(text, variables).unwrap_err())
}

fn lines(error: Error) -> String {
    let Error::Invalid { problems } = error else { panic!("{error}") };
    problems.iter().map(|problem| shortened(&problem.to_string()) + "\n").collect()
}

/// `(/tmp/.tmpabc/c.yaml:3)` → `(c.yaml:3)`.
fn shortened(text: &str) -> String {
    let Some((before, rest)) = text.split_once("(/") else { return text.to_owned() };
    let Some((place, after)) = rest.split_once(')') else { return text.to_owned() };
    format!("{before}({}){after}", place.rsplit('/').next().unwrap())
}

fn warnings<T>(loaded: &Loaded<T>) -> String {
    loaded.warnings.iter().map(|warning| shortened(&warning.to_string()) + "\n").collect()
}

#[test]
fn the_least_file_has_the_documented_defaults() {
    let loaded = ready(LEAST, &[]).unwrap();
    let Ready { source, target, modifiers, accept_changed_modifiers } = loaded.ready;
    assert_eq!(source.wal.slot, "pgstream_shop_slot");
    assert_eq!(source.wal.publication, "pgstream_shop");
    assert_eq!(source.retry, Retry::default());
    assert_eq!(target.postgres.url.to_string(), "postgres://app@target:5432/shop");
    let flush = buffer::Flush { rows: BATCH_ROWS, bytes: BATCH_BYTES, linger: Duration::ZERO };
    assert_eq!(target.postgres.flush, flush);
    assert_eq!(target.queue_bytes, QUEUE_BYTES);
    assert_eq!(target.postgres.on_conflict, sink::postgres::OnConflict::Error);
    assert!(target.postgres.disable_triggers);
    assert!(
        modifiers.injector.is_none() && modifiers.filter.is_none() && modifiers.transformations.is_none()
    );
    assert!(modifiers.plugins.is_empty() && modifiers.root_key.is_none());
    assert!(!accept_changed_modifiers);
    assert_eq!(loaded.logging, Logging::default());
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_reference_file_is_valid_and_says_what_it_promises() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config.reference.yaml");
    let variables = [
        ("SOURCE_PASSWORD", "p"),
        ("TARGET_PASSWORD", "p"),
        ("PGSTREAM_ROOT_KEY", "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
    ];
    let loaded =
        Input { file: Some(file), environment: environment(&variables), ..Input::default() }.ready().unwrap();
    assert_eq!(warnings(&loaded), "");
    let Ready { source, target, modifiers, .. } = loaded.ready;
    // What the file calls a default is one.
    let least = ready(LEAST, &[]).unwrap().ready;
    assert_eq!(source.wal.slot, least.source.wal.slot);
    assert_eq!(source.wal.publication, least.source.wal.publication);
    assert_eq!(source.wal.publish_via_partition_root, least.source.wal.publish_via_partition_root);
    assert_eq!(source.retry, least.source.retry);
    assert_eq!(target.postgres.flush, least.target.postgres.flush);
    assert_eq!(target.queue_bytes, least.target.queue_bytes);
    assert_eq!(target.postgres.disable_triggers, least.target.postgres.disable_triggers);
    assert_eq!(target.retry, least.target.retry);
    assert_eq!(modifiers.plugins.first().unwrap().limits, plugin::Limits::default());
    assert_eq!(modifiers.transformations.unwrap().tables.len(), 1);
    assert!(modifiers.root_key.is_some());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    insta::assert_snapshot!(problems(
        r#"
loging: {level: info}
logging:
  level: loud
source:
  postgres:
    url: mysql://root@localhost/shop
    mode: repliction
    replication:
      replication_slott: a
      replication_slot: My-Slot
      publication: ""
      publication_tables: ["a.b.c", users]
    retry_policy:
      exponential: {initial_interval: soon, max_retries: -1, max_interval: 0}
target:
  postgres:
    batch:
      size: 0
      max_bytes: 64 parsecs
      timeout: [1]
      max_queue_bytes: 1KiB
    on_conflict_action: overwrite
    disable_triggers: perhaps
modifiers:
  injector: yes please
  filter:
    include_tables: [a, {b: c}]
    exclude_tables: [d]
  transformations:
    validation_mode: 7
    on_error: shrug
    table_transformers:
      - schema: public
        column_transformers:
          email: {nam: mask, parameters: [1]}
      - table: users
        column_transformers:
          - email
      - table: users
        columns: {}
plugins:
  - name: a
  - use: mask
    name: a
  - use: ./b.wasm
    grant: [clock, network]
    limits: {memory: lots}
security:
  root_key: {file: no.key, env: KEY}
"#,
        &[],
    ));
}

#[test]
fn an_empty_file_misses_what_must_be_there() {
    insta::assert_snapshot!(problems("# nothing\n", &[]));
}

#[test]
fn parts_that_are_not_built_are_refused_by_name() {
    insta::assert_snapshot!(problems(
        r#"
instrumentation: {metrics: {endpoint: "0.0.0.0:4317"}}
source:
  kafka: {servers: [a]}
  postgres:
    url: postgres://a/b
    mode: snapshot_and_replication
    snapshot: {mode: full, tables: ["*"]}
    replication:
      plugin: {add_tables: public.a, filter_tables: public.b}
target:
  kafka: {servers: [a]}
  search: {engine: elasticsearch}
  webhooks: {notifier: {worker_count: 1}}
  stdout: {}
  postgres:
    url: postgres://a/b
    ignore_ddl: false
    include_ddl_object_types: [tables]
    exclude_ddl_object_types: [views]
    bulk_ingest: {enabled: true}
    batch: {ignore_send_errors: true, auto_tune: {enabled: true}}
modifiers:
  sanitize: {strip_null_char_bytes: true}
  injector: {enabled: true, source_url: postgres://other/db}
  transformations: {infer_from_security_labels: true, dump_inferred_rules: true, on_error: dead-letter}
plugins: [{use: mask@0.3}]
"#,
        &[],
    ));
}

#[test]
fn parts_that_are_not_built_may_stand_there_switched_off() {
    let loaded = ready(
        r#"
instrumentation: {health: {enabled: false}, metrics: {prometheus: {enabled: false, endpoint: /metrics}}}
source: {postgres: {url: postgres://a/b, mode: replication, replication: {plugin: {include_xids: false}}}}
target:
  postgres:
    url: postgres://a/b
    max_connections: 10
    strict_mode: false
    ignore_ddl: true
    bulk_ingest: {enabled: false, copy_workers: 8}
    batch: {ignore_send_errors: false, auto_tune: {enabled: false, min_batch_bytes: 1MiB}}
modifiers: {sanitize: {strip_null_char_bytes: false}}
"#,
        &[],
    )
    .unwrap();
    insta::assert_snapshot!(warnings(&loaded));
}

#[test]
fn variables_of_parts_that_are_not_built_are_refused_by_name() {
    insta::assert_snapshot!(problems(
        LEAST,
        &[
            ("PGSTREAM_POSTGRES_SNAPSHOT_TABLES", "*.*"),
            ("PGSTREAM_KAFKA_READER_SERVERS", "a:9092"),
            ("PGSTREAM_OPENSEARCH_STORE_URL", "http://a"),
            ("PGSTREAM_ELASTICSEARCH_STORE_URL", "http://a"),
            ("PGSTREAM_SEARCH_INDEXER_BATCH_SIZE", "1"),
            ("PGSTREAM_WEBHOOK_SUBSCRIPTION_STORE_URL", "postgres://a/b"),
            ("PGSTREAM_STDOUT_WRITER_ENABLED", "true"),
            ("PGSTREAM_PROCESSOR_SANITIZE_STRIP_NULL_CHAR_BYTES", "true"),
            ("PGSTREAM_METRICS_ENDPOINT", "a"),
            ("PGSTREAM_TRACES_ENDPOINT", "a"),
            ("PGSTREAM_HEALTH_CHECK_ENABLED", "true"),
            ("PGSTREAM_POSTGRES_WRITER_BULK_INGEST_ENABLED", "true"),
            ("PGSTREAM_POSTGRES_WRITER_BATCH_AUTO_TUNE_ENABLE", "true"),
            ("PGSTREAM_POSTGRES_WRITER_BATCH_SIZE", "many"),
        ],
    ));
    ready(LEAST, &[("PGSTREAM_STDOUT_WRITER_ENABLED", "false"), ("PGSTREAM_KAFKA_TOPIC_NAME", "")]).unwrap();
}

#[test]
fn a_variable_that_looks_like_a_known_one_is_a_warning_and_others_are_not_ours() {
    let loaded = ready(
        LEAST,
        &[
            ("PGSTREAM_POSTGRES_WRITER_BATCHSIZE", "1"),
            ("PGSTREAM_PORT_9900_TCP_ADDR", "10.0.0.1"),
            ("PGSTREAM_TEST_MAJORS", "15"),
        ],
    )
    .unwrap();
    insta::assert_snapshot!(warnings(&loaded));
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let folder = Folder::new();
    let file =
        folder.write("c.yaml", &format!("{LEAST}    batch: {{size: 1, max_bytes: 1MiB, timeout: 100}}\n"));
    let environment = environment(&[
        ("PGSTREAM_POSTGRES_WRITER_BATCH_SIZE", "2"),
        ("PGSTREAM_POSTGRES_WRITER_BATCH_TIMEOUT", "1m30s"),
        ("PGSTREAM_POSTGRES_WRITER_TARGET_URL", "postgres://environment/db"),
        ("PGSTREAM_POSTGRES_REPLICATION_SLOT_NAME", "from_environment"),
        ("PGSTREAM_LOG_LEVEL", "debug"),
    ]);
    let flag = Given {
        flag: "--target-url",
        path: &["target", "postgres", "url"],
        text: "postgres://flag/db".to_owned(),
    };
    let loaded =
        Input { file: Some(file), environment, flags: vec![flag], ..Input::default() }.ready().unwrap();
    let target = loaded.ready.target;
    let flush = buffer::Flush { rows: 2, bytes: 1 << 20, linger: Duration::from_secs(90) };
    assert_eq!(target.postgres.flush, flush);
    assert_eq!(target.postgres.url.host, "flag");
    assert_eq!(loaded.ready.source.wal.slot, "from_environment");
    assert_eq!(loaded.logging.level, tracing::level_filters::LevelFilter::DEBUG);
}

#[test]
fn flags_alone_are_enough() {
    let flags = vec![
        Given {
            flag: "--source-url",
            path: &["source", "postgres", "url"],
            text: "postgres://a/b".to_owned(),
        },
        Given { flag: "--target-url", path: &["target", "postgres", "url"], text: "oracle://c/d".to_owned() },
    ];
    let input = Input { flags, ..Input::default() };
    insta::assert_snapshot!(lines(input.ready().unwrap_err()));
    let flags = input.flags.first().cloned().into_iter().collect();
    let (source, target) = Input { flags, ..Input::default() }.ends().unwrap().ready;
    assert_eq!(source.wal.url.host, "a");
    assert!(target.is_none());
}

#[test]
fn an_env_file_sets_the_same_places() {
    let folder = Folder::new();
    let rules = folder.write(
        "rules.yaml",
        "transformations:\n  table_transformers:\n  - table: users\n    column_transformers:\n      email: {name: email}\n",
    );
    let text = format!(
        "# ours\nPGSTREAM_POSTGRES_LISTENER_URL=\"postgres://a/b\"\nexport PGSTREAM_POSTGRES_WRITER_TARGET_URL=postgres://c/d\n\
         PGSTREAM_FILTER_INCLUDE_TABLES=users \"my schema\".*\nPGSTREAM_INJECTOR_STORE_POSTGRES_URL=postgres://a/b\n\
         PGSTREAM_TRANSFORMER_RULES_FILE={}\nPGSTREAM_POSTGRES_LISTENER_BACKOFF_INTERVAL=5s\nOTHER=1\n",
        rules.display()
    );
    let file = Some(folder.write("pipeline.env", &text));
    let ready = Input { file, ..Input::default() }.ready().unwrap().ready;
    assert_eq!(ready.target.postgres.url.host, "c");
    assert_eq!(ready.modifiers.filter.unwrap().include, ["users", "\"my schema\".*"]);
    assert!(ready.modifiers.injector.is_some());
    assert_eq!(ready.modifiers.transformations.unwrap().tables.first().unwrap().table, "users");
    assert_eq!(ready.source.retry.first, Duration::from_secs(5));
    assert_eq!(ready.source.retry.longest, Duration::from_secs(5));

    let bad = "PGSTREAM_POSTGRES_LISTENER_URL=postgres://a/b\nPGSTREAM_POSTGRES_WRITER_URL=postgres://c/d\n\
               PGSTREAM_KAFKA_TOPIC_NAME=t\n";
    let file = Some(folder.write(".env", bad));
    insta::assert_snapshot!(lines(Input { file, ..Input::default() }.ready().unwrap_err()));
}

#[test]
fn rules_may_come_from_a_file_of_their_own_and_keep_their_places() {
    let folder = Folder::new();
    let rules = folder.write("rules.yaml", "validation_mode: sometimes\ntable_transformers:\n- schema: a\n");
    let rules = rules.to_string_lossy().into_owned();
    insta::assert_snapshot!(problems(LEAST, &[("PGSTREAM_TRANSFORMER_RULES_FILE", &rules)]));
}

#[test]
fn variables_in_a_file_are_expanded_and_unset_ones_told() {
    let text = "
source:
  postgres:
    # ${NOT_SET_IN_A_COMMENT}
    url: postgres://app:${PASSWORD}@source/shop
    mode: ${MODE}
target:
  postgres: {url: \"postgres://${GONE}:${LOST}@target/shop\", batch: {size: ${ROWS}}}
";
    let set = [("PASSWORD", "p#: '\"x"), ("MODE", "replication"), ("ROWS", "7")];
    insta::assert_snapshot!(problems(text, &set));
    let set = [&set[..], &[("GONE", "u"), ("LOST", "")]].concat();
    let ready = ready(text, &set).unwrap().ready;
    assert_eq!(ready.source.wal.url.password.as_deref(), Some("p#: '\"x"));
    assert_eq!(ready.target.postgres.flush.rows, 7);
}

#[test]
fn no_problem_shows_what_was_written() {
    let text = "
source: {postgres: {url: 'secret://secret:secret@h/d', mode: secret}}
target: {postgres: {url: 'postgres://u:secret@h/d?sslmode=secret', on_conflict_action: secret, batch: {size: secret}}}
security: {root_key: {env: KEY}}
";
    let told = problems(text, &[("KEY", "secretsecret")]);
    assert_eq!(told.lines().count(), 6, "{told}");
    // The scheme is named: it is in front of everything that is secret.
    assert_eq!(told.matches("secret").count(), 1, "{told}");
}

#[test]
fn rules_and_plugins_arrive_as_they_were_written() {
    let text = format!(
        "{LEAST}
modifiers:
  injector: {{enabled: true, version_column: updated_at}}
  transformations:
    validation_mode: table_level
    on_error: fail
    table_transformers:
      - schema: app
        table: users
        validation_mode: strict
        column_transformers:
          id:
          email: {{name: masking, parameters: {{type: email, n: 3}}, domain: people}}
          phone:
            name: phone_number
            dynamic_parameters: {{prefix: {{column: country}}}}
            allow_uniqueness_loss: true
plugins:
  - use: plugins/mine.wasm
    name: mine
    offer: rows
    settings: {{region: eu, deep: {{list: [1, 2.5, null, true]}}}}
    tables: [app.*]
    grant: [clock, env:HOME, read:/etc/lists]
    limits: {{memory: 128MiB, call: 2s, bind: 10000, output: 1MiB, incidents: 0, incident_window: 1h}}
"
    );
    let folder = Folder::new();
    let file = folder.write("c.yaml", &text);
    let input = Input { file: Some(file), plugins: vec!["other.wasm".into()], ..Input::default() };
    let modifiers = input.ready().unwrap().ready.modifiers;
    assert_eq!(modifiers.injector.unwrap().version_column.as_deref(), Some("updated_at"));
    let rules = modifiers.transformations.unwrap();
    let table = rules.tables.first().unwrap();
    assert_eq!((table.schema.as_str(), table.table.as_str()), ("app", "users"));
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["id", "email", "phone"]);
    let (_, email) = table.columns.get(1).unwrap();
    assert_eq!(email.parameters, *serde_json::json!({"type": "email", "n": 3}).as_object().unwrap());
    assert_eq!(email.domain.as_deref(), Some("people"));
    let (_, phone) = table.columns.get(2).unwrap();
    assert_eq!(phone.dynamic_parameters, [("prefix".to_owned(), "country".to_owned())]);
    assert!(phone.allow_uniqueness_loss);

    let [mine, other] = modifiers.plugins.as_slice() else { panic!("two plugins") };
    assert_eq!(mine.file, folder.0.path().join("plugins/mine.wasm"));
    assert_eq!(mine.settings.get("deep"), Some(&serde_json::json!({"list": [1, 2.5, null, true]})));
    assert_eq!(mine.tables, ["app.*"]);
    assert_eq!(mine.grants.len(), 3);
    assert_eq!(mine.limits.memory, 128 << 20);
    assert_eq!(mine.limits.bind, Duration::from_secs(10));
    assert_eq!(other.file, std::env::current_dir().unwrap().join("other.wasm"));
}

#[test]
fn a_file_that_is_none_is_told() {
    let folder = Folder::new();
    let read = |file: PathBuf| Input { file: Some(file), ..Input::default() }.ready().unwrap_err();
    assert!(matches!(read(folder.0.path().join("gone.yaml")), Error::Unreadable { .. }));
    assert!(matches!(read(folder.write("config.toml", "")), Error::Form { .. }));
    let syntax = read(folder.write("bad.yaml", "source:\n  postgres: [\n"));
    assert!(syntax.to_string().contains("line 3"), "{syntax}");
    let twice = read(folder.write("twice.yaml", "source: {}\nsource: {}\n"));
    assert!(twice.to_string().contains("duplicate"), "{twice}");
}
