//! Rules on values: both images, every state, whatever the identity.

use modify::Chain;

use super::*;

#[test]
fn values_are_masked_and_null_and_unchanged_stay_what_they_are() {
    let users = users();
    let mut chain = bound(&with_rules(rules(&[("email", mask_email())])), &users);
    let out =
        chain.apply(batch(&users, &["+ 1 jonathan@example.com Jo 3", "+ 2 - Jo -", "= 3 ~ Jo 1"])).unwrap();
    assert_eq!(shown(&out), ["+ 1 jon****n@example.com Jo 3", "+ 2 - Jo -", "= 3 ~ Jo 1"]);
    assert_eq!(out.end(), Some(Lsn(11)));
}

#[test]
fn a_masked_key_still_finds_its_row() {
    let users = users();
    let mut chain = bound(&with_rules(rules(&[("id", encrypt())])), &users);
    let out = chain
        .apply(batch(&users, &["+ anna a n 1", "= anna - - - > otto a n 1", "= otto b n 1", "! otto - - -"]))
        .unwrap();
    let rows = shown(&out);
    let key = |row: &str, at: usize| row.split(' ').nth(at).unwrap().to_owned();
    let (anna, otto) = (key(&rows[0], 1), key(&rows[1], 6));
    assert_ne!(anna, "anna");
    assert_eq!(rows[1], format!("= {anna} - - - > {otto} a n 1"));
    assert_eq!(rows[2], format!("= {otto} b n 1"));
    assert_eq!(rows[3], format!("! {otto} - - -"));
}

#[test]
fn no_raw_value_leaves_in_the_old_row_of_identity_full() {
    let users = users_full();
    let mut chain =
        bound(&with_rules(rules(&[("email", mask_email()), ("name", rule("null", json!({})))])), &users);
    let out = chain
        .apply(batch(
            &users,
            &["= 1 jonathan@old.com Jo 3 > 1 benedict@new.com Be 3", "! 1 benedict@new.com Be 3"],
        ))
        .unwrap();
    assert_eq!(
        shown(&out),
        ["= 1 jon****n@old.com - 3 > 1 ben****t@new.com - 3", "! 1 ben****t@new.com - 3"]
    );
}

#[test]
fn rules_do_not_see_what_other_rules_did_and_noop_and_empty_names_leave_a_column_alone() {
    let users = users();
    let columns = [
        ("email", rule("upper", json!({}))),
        ("name", rule("noop", json!({}))),
        ("tier", rule("", json!({}))),
    ];
    let options = Options { plugins: vec![user("upper")], ..with_rules(rules(&columns)) };
    let mut chain = bound(&options, &users);
    let out = chain.apply(batch(&users, &["+ 1 a@b.c jo 3"])).unwrap();
    assert_eq!(shown(&out), ["+ 1 A@B.C jo 3"]);
}

#[test]
fn a_text_that_the_column_cannot_hold_stops_without_naming_it() {
    let users = users();
    let columns = [("tier", rule("literal_string", json!({ "literal": "secret" })))];
    let mut chain = bound(&with_rules(rules(&columns)), &users);
    let error = chain.apply(batch(&users, &["+ 1 a b 3"])).unwrap_err();
    assert_eq!(codes(&error), ["modify::row_failed"]);
    let text = error.to_string();
    assert!(
        text.contains("column `tier`") && text.contains("[invalid_text]") && text.contains("0/A"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn null_for_a_column_that_takes_none_stops_before_the_target_would() {
    let relation = table_with("users", ReplicaIdentity::Nothing, &[("a", 25, "text", "")]);
    let mut relation = Arc::unwrap_or_clone(relation);
    relation.columns[0].nullable = false;
    let relation = Arc::new(relation);
    let mut chain = bound(&with_rules(rules(&[("a", rule("null", json!({})))])), &relation);
    let error = chain.apply(batch(&relation, &["+ x"])).unwrap_err();
    assert!(error.to_string().contains("[not_null]"), "{error}");
}

#[test]
fn the_same_table_after_a_reconnect_is_bound_already() {
    let mut chain = bound(&with_rules(rules(&[("email", mask_email())])), &users());
    for _ in 0..3 {
        let again = users();
        let out = chain.apply(batch(&again, &["+ 1 jonathan@example.com Jo 3"])).unwrap();
        assert_eq!(shown(&out), ["+ 1 jon****n@example.com Jo 3"]);
    }
    assert_eq!(chain.counters().plugins[0].calls, 3);
}

#[test]
fn run_passes_batches_on_and_gives_the_chain_back() {
    let users = users();
    let chain = bound(&with_rules(rules(&[("email", mask_email())])), &users);
    let (send, input) = buffer::link();
    let (output, mut receive) = buffer::link();
    let thread = std::thread::spawn(move || modify::run(chain, input, output));
    let budget = buffer::Budget::new(1 << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let out = runtime.block_on(async {
        send.send(budget.hold(batch(&users, &["+ 1 jonathan@example.com Jo 3"])).await).await.unwrap();
        drop(send);
        receive.recv().await.unwrap()
    });
    assert_eq!(shown(&out.batch), ["+ 1 jon****n@example.com Jo 3"]);
    assert!(budget.used() > 0, "the share travels with the batch");
    let (chain, result): (Chain, _) = thread.join().unwrap();
    result.unwrap();
    assert_eq!(chain.counters().rows, 1);
}

#[test]
fn a_plugin_that_prints_may_be_bound_from_a_runtime_that_steps_aside() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let options =
        with_error(&[("name", rule("reverse", json!({})))], OnError::Stop, vec![user("reverse-p2")]);
    let users = users();
    let out = runtime.block_on(async move {
        let task = tokio::spawn(async move {
            tokio::task::block_in_place(|| {
                bound(&options, &users).apply(batch(&users, &["+ 1 a jo 1"])).unwrap()
            })
        });
        task.await.unwrap()
    });
    assert_eq!(shown(&out), ["+ 1 a oj 1"]);
}
