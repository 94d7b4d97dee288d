//! A bad row is found, dealt with by `on_error`, and the others go on.

use std::time::Duration;

use plugin::Limits;

use super::*;

fn trap() -> ColumnRule {
    rule("trap-on", json!({ "value": "bad" }))
}

/// Fifty rows, of which one traps the plugin.
fn one_bad_row(relation: &Arc<Relation>) -> (Batch, Vec<String>) {
    let rows: Vec<String> =
        (0..50).map(|at| format!("+ {at} mail{at} {} {at}", if at == 31 { "bad" } else { "good" })).collect();
    let changes: Vec<&str> = rows.iter().map(String::as_str).collect();
    (batch(relation, &changes), rows)
}

#[test]
fn a_row_that_traps_the_plugin_is_nulled_and_the_others_arrive() {
    let users = users();
    let columns = [("name", trap()), ("email", mask_email())];
    let mut chain = bound(&with_error(&columns, OnError::Null, vec![user("trap")]), &users);
    let (batch, rows) = one_bad_row(&users);
    let out = shown(&chain.apply(batch).unwrap());
    assert_eq!(out.len(), 50);
    for (at, (out, row)) in out.iter().zip(&rows).enumerate() {
        let name = out.split(' ').nth(3).unwrap();
        assert_eq!(name, if at == 31 { "-" } else { "good" }, "{row}");
        assert!(out.contains("****"), "the other rule was not touched");
    }
    let counters = chain.counters();
    let trap = counters.plugins.iter().find(|plugin| plugin.name == "trap").unwrap();
    assert_eq!((trap.failures.nulled, trap.failures.total()), (1, 1));
    assert!(trap.crashes >= 5 && trap.restarts >= 5, "{trap:?}");
}

#[test]
fn stop_names_the_plugin_the_row_and_the_cause_and_no_value() {
    let users = users();
    let mut chain = bound(&with_error(&[("name", trap())], OnError::Stop, vec![user("trap")]), &users);
    let error = chain.apply(one_bad_row(&users).0).unwrap_err();
    assert_eq!(codes(&error), ["modify::row_failed"]);
    assert_eq!(
        error.to_string(),
        "plugin `trap` cannot handle a row of public.users (column `name`, `trap-on`, row 31 of the transaction \
         committed at 0/A): it panicked [panic]"
    );
    // The chain is as good as before.
    assert_eq!(chain.apply(batch(&users, &["+ 1 a good 1"])).unwrap().rows(), 1);
}

#[test]
fn drop_takes_the_row_out_and_pass_lets_the_value_through() {
    let users = users();
    let mut chain = bound(&with_error(&[("name", trap())], OnError::Drop, vec![user("trap")]), &users);
    let out = chain.apply(one_bad_row(&users).0).unwrap();
    assert_eq!(out.rows(), 49);
    assert_eq!(out.end(), Some(Lsn(11)), "a dropped row is a row done");
    let mut chain = bound(&with_error(&[("name", trap())], OnError::Pass, vec![user("trap")]), &users);
    let (batch, rows) = one_bad_row(&users);
    assert_eq!(shown(&chain.apply(batch).unwrap()), rows);
    assert_eq!(chain.counters().plugins[0].failures.passed, 1);
}

#[test]
fn the_old_image_of_a_failing_row_does_not_leak() {
    let users = users_full();
    let mut chain = bound(&with_error(&[("name", trap())], OnError::Null, vec![user("trap")]), &users);
    let out = chain.apply(batch(&users, &["= 1 a bad 1 > 1 b bad 1", "! 1 b bad 1"])).unwrap();
    assert_eq!(shown(&out), ["= 1 a - 1 > 1 b - 1", "! 1 b - 1"]);
}

#[test]
fn a_key_is_never_nulled() {
    let users = users();
    let mut chain = bound(&with_error(&[("id", trap())], OnError::Null, vec![user("trap")]), &users);
    let error = chain.apply(batch(&users, &["+ bad a b 1"])).unwrap_err();
    assert_eq!(codes(&error), ["modify::null_refused"]);
}

#[test]
fn an_endless_loop_costs_its_limit_and_one_row() {
    let users = users();
    let mut slow = user("slow");
    slow.limits = Limits { call: Duration::from_millis(60), ..Limits::default() };
    let columns = [("name", rule("loop-on", json!({ "value": "bad" })))];
    let mut chain = bound(&with_error(&columns, OnError::Null, vec![slow]), &users);
    let out = chain.apply(batch(&users, &["+ 1 a good 1", "+ 2 a bad 1", "+ 3 a good 1"])).unwrap();
    assert_eq!(shown(&out), ["+ 1 a good 1", "+ 2 a - 1", "+ 3 a good 1"]);
}

#[test]
fn a_plugin_that_crashes_too_often_is_given_up_whatever_on_error_says() {
    let users = users();
    let mut trapping = user("trap");
    trapping.limits.incidents = 3;
    let mut chain = bound(&with_error(&[("name", trap())], OnError::Null, vec![trapping]), &users);
    let bad = |count| batch(&users, &vec!["+ 1 a bad 1"; count]);
    assert_eq!(chain.apply(bad(2)).unwrap().rows(), 2);
    let error = chain.apply(bad(1)).unwrap_err();
    assert_eq!(codes(&error), ["modify::plugin_gave_up"]);
    assert!(error.to_string().starts_with("plugin `trap` crashed on 3 rows in 600 s"), "{error}");
}
