//! Components in the flow: the standard ones, and ones that a user wrote against `wit/` alone.

use std::path::PathBuf;

use pipeline::Rig;
use testbed::Pgstream;

/// A component of `tests/plugins`, built by `guests/build.sh --test-plugins`.
fn component(name: &str) -> String {
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "plugins", "target", "components", &format!("{name}.wasm")]
            .iter()
            .collect();
    assert!(path.is_file(), "{} is missing: run `guests/build.sh --test-plugins` first", path.display());
    path.display().to_string()
}

fn run_with(rig: &Rig, plugins: &[&str]) -> Pgstream {
    let mut arguments = vec!["run".to_owned()];
    for plugin in plugins {
        arguments.push("--plugin".into());
        arguments.push(component(plugin));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Pgstream::run_with(&arguments, &rig.config).unwrap()
}

fn rules(table: &str, columns: &str) -> String {
    format!(
        "modifiers:\n  injector:\n    enabled: true\n  transformations:\n    table_transformers:\n      - schema: public\n        \
         table: {table}\n        column_transformers:\n{columns}"
    )
}

const CUSTOMERS: &str =
    "CREATE TABLE public.customer (id int PRIMARY KEY, email text UNIQUE, name text, phone text, tier int);";

#[tokio::test]
async fn masked_columns_reach_the_target_masked_and_everything_else_untouched() {
    let columns = "          name: {name: masking, parameters: {type: name}}\n          \
                   phone: {name: masking, parameters: {type: custom, mask_begin: '4', mask_end: '12'}}\n";
    let mut rig = Rig::start(15, CUSTOMERS, &rules("customer", columns)).await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(
        "INSERT INTO public.customer VALUES (1, 'a@x.io', 'John Doe', '1234567812345678', 1), (2, 'b@x.io', NULL, 'sensitive', 2); \
         UPDATE public.customer SET name = 'ABCD' WHERE id = 2",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let rows = rig
        .server
        .rows("target", "SELECT id::text, email, name, phone FROM public.customer ORDER BY id")
        .await
        .unwrap();
    let want = [["1", "a@x.io", "J**n D**e", "1234********5678"], ["2", "b@x.io", "A**D", "sens*****"]];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    assert_eq!(rows, want);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_masked_primary_key_still_updates_and_deletes_its_row_and_no_raw_value_leaves() {
    let key = "00112233445566778899aabbccddeeff".repeat(4);
    for identity in ["DEFAULT", "FULL"] {
        let ddl = format!(
            "CREATE TABLE public.person (ssn text PRIMARY KEY, v text); ALTER TABLE public.person REPLICA IDENTITY {identity}"
        );
        let columns =
            format!("          ssn: {{name: encrypted_aes_siv, parameters: {{key_hex: '{key}'}}}}\n");
        let mut rig = Rig::start(15, &ddl, &rules("person", &columns)).await.unwrap();
        let mut pgstream = rig.run().unwrap();
        rig.source(
            "INSERT INTO public.person SELECT 'ssn-' || i, 'v' FROM generate_series(1, 200) i; \
             UPDATE public.person SET v = 'w' WHERE ssn = 'ssn-1'; UPDATE public.person SET ssn = 'ssn-new' WHERE ssn = 'ssn-2'; \
             DELETE FROM public.person WHERE ssn = 'ssn-3'",
        )
        .await
        .unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        let value = async |sql: &str| rig.server.value("target", sql).await.unwrap();
        assert_eq!(value("SELECT count(*) FROM public.person").await, "199");
        assert_eq!(value("SELECT count(*) FROM public.person WHERE v = 'w'").await, "1");
        assert_eq!(value("SELECT count(*) FROM public.person WHERE ssn LIKE '%ssn%'").await, "0");
        rig.source("DELETE FROM public.person").await.unwrap();
        rig.caught_up(&mut pgstream).await.unwrap();
        assert_eq!(rig.server.value("target", "SELECT count(*) FROM public.person").await.unwrap(), "0");
        let done = rig.drain(pgstream).await.unwrap();
        assert!(!done.stderr.contains("ssn-"), "no value in the log");
    }
}

#[tokio::test]
async fn a_transformer_written_against_the_wit_alone_works() {
    let columns = "          name: {name: upper}\n";
    let mut rig = Rig::start(15, CUSTOMERS, &rules("customer", columns)).await.unwrap();
    let mut pgstream = run_with(&rig, &["upper"]);
    rig.source("INSERT INTO public.customer VALUES (1, 'a@x.io', 'ada é', '1', 1)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT name FROM public.customer").await.unwrap(), "ADA É");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_transformer_built_by_plain_cargo_for_wasip2_works() {
    let columns = "          name: {name: reverse}\n";
    let mut rig = Rig::start(15, CUSTOMERS, &rules("customer", columns)).await.unwrap();
    let mut pgstream = run_with(&rig, &["reverse-p2"]);
    rig.source("INSERT INTO public.customer VALUES (1, 'a@x.io', 'abc', '1', 1)").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    assert_eq!(rig.server.value("target", "SELECT name FROM public.customer").await.unwrap(), "cba");
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_filter_and_an_injector_written_against_the_wit_alone_work() {
    let ddl = "CREATE TABLE public.guest (id int PRIMARY KEY, email text NOT NULL UNIQUE, tier int); \
               ALTER TABLE public.guest REPLICA IDENTITY FULL";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let mut pgstream = run_with(&rig, &["vip-filter", "email-identity"]);
    rig.source("INSERT INTO public.guest VALUES (1, 'a@x.io', 0), (2, 'b@x.io', 1), (3, 'c@x.io', 5), (4, 'd@x.io', 2)")
        .await
        .unwrap();
    // One enters, one leaves, one stays, one goes.
    for sql in [
        "UPDATE public.guest SET tier = 9 WHERE id = 1",
        "UPDATE public.guest SET tier = 0 WHERE id = 2",
        "UPDATE public.guest SET tier = 6 WHERE id = 3",
        "DELETE FROM public.guest WHERE id = 4",
    ] {
        rig.source(sql).await.unwrap();
    }
    rig.caught_up(&mut pgstream).await.unwrap();
    let rows =
        rig.server.rows("target", "SELECT id::text, tier::text FROM public.guest ORDER BY id").await.unwrap();
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    assert_eq!(rows, [["1", "9"], ["3", "6"]]);
    let done = rig.drain(pgstream).await.unwrap();
    for name in ["vip-filter 0.1.0", "email-identity 0.1.0"] {
        assert!(done.stderr.contains(name), "{name} is named at the start: {}", done.stderr);
    }
}
