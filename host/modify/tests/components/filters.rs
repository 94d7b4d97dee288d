//! Whole tables and single rows left out, identities and versions found.

use event::{Identity, Step, Truncate};
use modify::{Filter, Injector, TableFate};

use super::*;

fn without(tables: &[&str]) -> Options {
    let exclude = tables.iter().map(|table| (*table).to_owned()).collect();
    Options { filter: Some(Filter { exclude, ..Filter::default() }), ..Options::default() }
}

fn vip() -> Options {
    let mut vip = user("vip-filter");
    vip.settings.insert("min".into(), json!(3));
    Options { plugins: vec![vip], ..Options::default() }
}

#[test]
fn a_dropped_table_leaves_no_row_and_no_truncate_but_its_commit() {
    let (users, logs) = (users(), table_with("logs", ReplicaIdentity::Default, USERS));
    let mut chain = Chain::load(&without(&["public.logs"])).unwrap();
    let report = chain.bind(&[Arc::clone(&users), Arc::clone(&logs)]).unwrap();
    assert_eq!(
        report.tables.iter().map(|table| table.fate).collect::<Vec<_>>(),
        [TableFate::Keep, TableFate::Drop]
    );
    let mut builder = BatchBuilder::default();
    builder.begin(Transaction { commit_lsn: Lsn(1), committed_at: 0, xid: 1 });
    builder.row(&logs, RowChange::Insert { new: &values("1 a b 1") });
    builder.row(&users, RowChange::Insert { new: &values("2 a b 1") });
    let truncate = |relations| Truncate { relations, cascade: false, restart_identity: false };
    builder.truncate(truncate(vec![Arc::clone(&logs)]));
    builder.truncate(truncate(vec![Arc::clone(&logs), Arc::clone(&users)]));
    builder.commit(Lsn(2));
    let out = chain.apply(builder.take()).unwrap();
    assert_eq!(shown(&out), ["+ 2 a b 1"]);
    let truncates: Vec<_> = out.order.iter().filter(|step| matches!(step, Step::Truncate(_))).collect();
    assert_eq!(truncates, [&Step::Truncate(truncate(vec![users]))]);
    assert_eq!(out.end(), Some(Lsn(2)));
    assert_eq!((chain.counters().filtered, chain.counters().rows), (1, 2));
}

#[test]
fn schema_only_is_told_apart_from_dropped() {
    let options = Options {
        filter: Some(Filter { schema_only: vec!["public.users".into()], ..Filter::default() }),
        ..Options::default()
    };
    let users = users();
    let mut chain = Chain::load(&options).unwrap();
    assert_eq!(chain.bind(std::slice::from_ref(&users)).unwrap().tables[0].fate, TableFate::SchemaOnly);
    assert_eq!(chain.apply(batch(&users, &["+ 1 a b 1"])).unwrap().rows(), 0);
}

#[test]
fn a_row_that_leaves_becomes_a_delete_and_one_that_enters_an_insert() {
    let users = users_full();
    let mut chain = bound(&vip(), &users);
    let changes = [
        "+ 1 a b 5",
        "+ 2 a b 1",
        "= 1 a b 5 > 1 c b 6",
        "= 1 c b 6 > 1 c b 2",
        "= 2 a b 1 > 2 ~ b 4",
        "= 2 a b 1 > 2 a b 2",
        "! 2 a b 1",
        "! 2 a b 4",
        "= 3 a b 4 > 3 d b 4",
    ];
    let out = chain.apply(batch(&users, &changes)).unwrap();
    assert_eq!(
        shown(&out),
        ["+ 1 a b 5", "= 1 a b 5 > 1 c b 6", "! 1 c b 6", "+ 2 a b 4", "! 2 a b 4", "= 3 a b 4 > 3 d b 4"]
    );
    let counters = chain.counters();
    assert_eq!((counters.left, counters.entered, counters.filtered_by_row), (1, 1, 3));
}

#[test]
fn a_filter_by_row_needs_old_rows_that_have_what_it_reads() {
    let users = users();
    let mut chain = Chain::load(&vip()).unwrap();
    let error = chain.bind(&[users]).unwrap_err();
    assert_eq!(codes(&error), ["modify::old_row_incomplete"]);
    use miette::Diagnostic;
    assert_eq!(error.help().unwrap().to_string(), "ALTER TABLE public.users REPLICA IDENTITY FULL");
}

#[test]
fn a_filter_reads_raw_values_and_its_rows_are_then_masked() {
    let users = users_full();
    let options = Options { transformations: Some(rules(&[("email", mask_email())])), ..vip() };
    let mut chain = bound(&options, &users);
    let out = chain
        .apply(batch(&users, &["= 1 jonathan@a.b x 5 > 1 jonathan@a.b x 1", "+ 2 benedict@a.b x 9"]))
        .unwrap();
    assert_eq!(shown(&out), ["! 1 jon****n@a.b x 5", "+ 2 ben****t@a.b x 9"]);
}

#[test]
fn the_standard_injector_finds_the_key() {
    let users = users();
    let mut chain =
        Chain::load(&Options { injector: Some(Injector::default()), ..Options::default() }).unwrap();
    let report = chain.bind(std::slice::from_ref(&users)).unwrap();
    assert_eq!(report.tables[0].identity, ["id"]);
    let out = chain.apply(batch(&users, &["+ 1 a b 1"])).unwrap();
    assert_eq!(out.chunks[0].identity, Identity::Columns(vec![0]));
    assert!(out.chunks[0].versions.is_empty(), "the commit LSN");
    assert_eq!(chain.counters().plugins[0].calls, 0, "nothing is asked for a row");
}

#[test]
fn a_version_column_gives_a_number_for_each_row() {
    let users = users_full();
    let injector = Injector { version_column: Some("tier".into()) };
    let mut chain = bound(&Options { injector: Some(injector), ..Options::default() }, &users);
    let out = chain.apply(batch(&users, &["+ 1 a b 5", "! 1 a b 6", "= 2 a b 7 > 2 a b 8"])).unwrap();
    assert_eq!(out.chunks[0].versions, [5, 6, 8]);
    let error = chain.apply(batch(&users, &["+ 1 a b -"])).unwrap_err();
    assert_eq!(codes(&error), ["modify::row_failed"]);
}

#[test]
fn a_users_injector_takes_the_place_of_the_standard_one() {
    let users = users_full();
    let options = Options {
        injector: Some(Injector::default()),
        plugins: vec![user("email-identity")],
        ..Options::default()
    };
    let mut chain = Chain::load(&options).unwrap();
    let report = chain.bind(std::slice::from_ref(&users)).unwrap();
    assert_eq!(
        report.plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(),
        ["email-identity"]
    );
    assert_eq!(report.tables[0].identity, ["email"]);
}

#[test]
fn an_identity_that_old_rows_lack_is_left_to_the_replica_identity() {
    let users = users();
    let mut chain = bound(&Options { plugins: vec![user("email-identity")], ..Options::default() }, &users);
    let out = chain.apply(batch(&users, &["! 1 - - -"])).unwrap();
    assert_eq!(out.chunks[0].identity, Identity::Unknown);
}
