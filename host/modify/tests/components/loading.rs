//! What is refused before a row flows: all at once, each with its remedy.

use miette::Diagnostic;
use modify::{TableMode, ValidationMode};

use super::*;

fn refused(options: &Options) -> Error {
    Chain::load(options).unwrap_err()
}

fn not_bound(options: &Options, relation: &Arc<Relation>) -> Error {
    Chain::load(options).unwrap().bind(std::slice::from_ref(relation)).unwrap_err()
}

#[test]
fn all_problems_of_the_rules_are_listed_at_once() {
    let columns = [
        ("email", rule("maskin", json!({}))),
        ("name", rule("masking", json!({ "typ": "email" }))),
        ("tier", rule("masking", json!({ "type": 5 }))),
        ("id", rule("literal_string", json!({}))),
        ("a", rule("masking", json!({ "type": "no such kind" }))),
    ];
    let error = refused(&with_error(&columns, OnError::DeadLetter, vec![]));
    assert_eq!(
        codes(&error),
        [
            "modify::dead_letter",
            "modify::unknown_transformer",
            "modify::unknown_parameter",
            "modify::parameter_kind",
            "modify::missing_parameter",
            "modify::parameter_value",
        ]
    );
    let Error::Problems { problems } = &error else { panic!("{error}") };
    assert_eq!(problems[1].to_string(), "public.users.email: there is no transformer `maskin`");
    assert_eq!(problems[1].help().unwrap().to_string(), "did you mean `masking`?");
    assert_eq!(problems[2].help().unwrap().to_string(), "did you mean `type`?");
    assert!(error.to_string().starts_with("6 problems with plugins and rules\n- "), "{error}");
}

#[test]
fn files_that_are_no_plugins_are_listed_too() {
    let plugins = vec![PluginOptions::new("/nowhere/a.wasm"), PluginOptions::new("/"), user("other-world")];
    let error = refused(&Options { plugins, ..Options::default() });
    assert_eq!(codes(&error), ["plugin::not_found", "plugin::directory", "plugin::other_world"]);
}

#[test]
fn one_name_offered_twice_must_be_written_with_its_plugin() {
    let mut other = user("upper");
    other.name = Some("other".into());
    let plugins = vec![user("upper"), other];
    let options = with_error(&[("email", rule("upper", json!({})))], OnError::Stop, plugins.clone());
    let error = refused(&options);
    assert_eq!(codes(&error), ["modify::ambiguous_transformer"]);
    assert_eq!(error.help().unwrap().to_string(), "write one of `upper/upper`, `other/upper`");
    let users = users();
    let options = with_error(&[("email", rule("other/upper", json!({})))], OnError::Stop, plugins);
    let out = bound(&options, &users).apply(batch(&users, &["+ 1 a b 1"])).unwrap();
    assert_eq!(shown(&out), ["+ 1 A b 1"]);
}

#[test]
fn plugins_of_one_name_two_injectors_and_settings_of_a_transformer_are_refused() {
    let twice = Options { plugins: vec![user("upper"), user("upper")], ..Options::default() };
    assert_eq!(codes(&refused(&twice)), ["modify::plugin_name"]);
    let mut second = user("email-identity");
    second.name = Some("second".into());
    let two = Options { plugins: vec![user("email-identity"), second], ..Options::default() };
    assert_eq!(codes(&refused(&two)), ["modify::two_injectors"]);
    let mut upper = user("upper");
    upper.settings.insert("x".into(), json!(1));
    assert_eq!(
        codes(&refused(&Options { plugins: vec![upper], ..Options::default() })),
        ["modify::transformer_settings"]
    );
    let mut vip = user("vip-filter");
    vip.offer = Some("nothing".into());
    let mut bad = user("vip-filter");
    bad.name = Some("bad".into());
    bad.tables = vec!["a.b.c".into()];
    bad.settings.insert("mim".into(), json!(1));
    let error = refused(&Options { plugins: vec![vip, bad], ..Options::default() });
    assert_eq!(codes(&error), ["modify::offer", "modify::unknown_parameter", "modify::table_pattern"]);
}

#[test]
fn rules_for_what_does_not_exist_name_what_is_near() {
    let users = users();
    let error = not_bound(&with_rules(rules(&[("emial", mask_email())])), &users);
    assert_eq!(codes(&error), ["modify::missing_column"]);
    assert_eq!(error.to_string(), "public.users.emial: there is no such column");
    assert_eq!(error.help().unwrap().to_string(), "did you mean `email`?");
    let mut other = rules(&[("email", mask_email())]);
    other.tables[0].table = "user".into();
    let error = not_bound(&with_rules(other), &users);
    assert_eq!(codes(&error), ["modify::missing_table"]);
    assert_eq!(error.help().unwrap().to_string(), "did you mean `public.users`?");
}

#[test]
fn what_a_rule_may_not_do_to_a_column_is_refused_at_bind() {
    let users = users();
    let lossy = [("id", rule("masking", json!({})))];
    assert_eq!(codes(&not_bound(&with_rules(rules(&lossy)), &users)), ["modify::uniqueness_loss"]);
    let allowed = [("id", ColumnRule { allow_uniqueness_loss: true, ..lossy[0].1.clone() })];
    bound(&with_rules(rules(&allowed)), &users);
    // The plugin's own word: masking takes no numbers.
    let numbers = [("tier", rule("masking", json!({})))];
    let error = not_bound(&with_rules(rules(&numbers)), &users);
    assert_eq!(codes(&error), ["modify::refused"]);
    assert!(error.to_string().contains("plugin `mask` refuses it: masking cannot take column"), "{error}");
    let mut generated = Arc::unwrap_or_clone(users);
    generated.columns[1].generated = Some(event::GeneratedKind::Stored);
    let error = not_bound(&with_rules(rules(&[("email", mask_email())])), &Arc::new(generated));
    assert_eq!(codes(&error), ["modify::generated_column"]);
}

#[test]
fn a_key_of_the_wrong_length_is_refused_and_not_printed() {
    let short = [("email", rule("encrypted_aes_siv", json!({ "key_hex": "c0ffee" })))];
    let options = with_rules(rules(&short));
    assert!(!format!("{options:?}").contains("c0ffee"));
    let error = not_bound(&options, &users());
    assert_eq!(codes(&error), ["modify::refused"]);
    assert!(!error.to_string().contains("c0ffee"), "{error}");
}

#[test]
fn strict_wants_a_rule_for_every_column_and_stops_at_a_new_one() {
    let all = [("id", ""), ("email", "masking"), ("name", "noop"), ("tier", "")]
        .map(|(c, n)| (c, rule(n, json!({}))));
    let strict = Transformations { validation_mode: ValidationMode::Strict, ..rules(&all) };
    let few = Transformations { validation_mode: ValidationMode::Strict, ..rules(&all[..2]) };
    let users = users();
    assert_eq!(codes(&not_bound(&with_rules(few), &users)), ["modify::uncovered_column"; 2]);
    let mut chain = bound(&with_rules(strict), &users);
    let mut wider = USERS.to_vec();
    wider.push(("ssn", 25, "text", ""));
    let wider = table_with("users", ReplicaIdentity::Default, &wider);
    let error = chain.apply(batch(&wider, &["+ 1 a b 1 078-05-1120"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "public.users.ssn: the column has no rule, and the validation mode is strict"
    );
    let unknown = table_with("other", ReplicaIdentity::Default, USERS);
    assert_eq!(
        codes(&chain.apply(batch(&unknown, &["+ 1 a b 1"])).unwrap_err()),
        ["modify::uncovered_table"]
    );
}

#[test]
fn table_level_lets_unlisted_tables_pass_until_they_change() {
    let mut level =
        Transformations { validation_mode: ValidationMode::TableLevel, ..rules(&[("email", mask_email())]) };
    assert_eq!(codes(&refused(&with_rules(level.clone()))), ["modify::table_mode"]);
    level.tables[0].validation_mode = Some(TableMode::Relaxed);
    let (users, logs) = (users(), table_with("logs", ReplicaIdentity::Default, USERS));
    let mut chain = Chain::load(&with_rules(level)).unwrap();
    chain.bind(&[users, Arc::clone(&logs)]).unwrap();
    assert_eq!(chain.apply(batch(&logs, &["+ 1 a b 1"])).unwrap().rows(), 1);
    let mut wider = USERS.to_vec();
    wider.push(("ssn", 25, "text", ""));
    let wider = table_with("logs", ReplicaIdentity::Default, &wider);
    let error = chain.apply(batch(&wider, &["+ 1 a b 1 2"])).unwrap_err();
    assert_eq!(error.to_string(), "public.logs: the table has no rules and has the new column `ssn`");
    let new = table_with("new", ReplicaIdentity::Default, USERS);
    assert_eq!(
        codes(&chain.apply(batch(&new, &["+ 1 a b 1"])).unwrap_err()),
        ["modify::unknown_table_changed"]
    );
}

#[test]
fn a_renamed_column_stops_the_stream_before_its_value_leaves_raw() {
    let mut chain = bound(&with_rules(rules(&[("email", mask_email())])), &users());
    let mut renamed = USERS.to_vec();
    renamed[1].0 = "mail";
    let renamed = table_with("users", ReplicaIdentity::Default, &renamed);
    let error = chain.apply(batch(&renamed, &["+ 1 a@b.c n 1"])).unwrap_err();
    assert_eq!(codes(&error), ["modify::missing_column"]);
}

#[test]
fn the_digest_tells_one_chain_from_another() {
    let digest = |options: &Options| Chain::load(options).unwrap().digest();
    let (email, name) = (("email", mask_email()), ("name", rule("null", json!({}))));
    let one = with_rules(rules(&[email.clone(), name.clone()]));
    assert_eq!(
        digest(&one),
        digest(&with_rules(rules(&[name.clone(), email.clone()]))),
        "order means nothing"
    );
    assert_ne!(digest(&one), digest(&with_rules(rules(std::slice::from_ref(&email)))));
    assert_ne!(digest(&one), digest(&with_rules(rules(&[email, ("name", mask_email())]))));
    let keyed = Options { root_key: Some(plugin::RootKey::new([1; 32])), ..one.clone() };
    assert_ne!(digest(&one), digest(&keyed));
}

/// Whatever is not a plugin of this version is refused by name at the start, all of it at once.
#[test]
fn components_that_do_not_fit_are_refused_together_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.wasm");
    let whole = std::fs::read(&user("trap").file).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let plugins = vec![user("other-world"), user("other-version"), PluginOptions::new(cut), user("upper")];
    let error =
        Chain::load(&with_error(&[("name", rule("upper", json!({})))], OnError::Stop, plugins)).unwrap_err();
    assert_eq!(codes(&error), ["plugin::other_world", "plugin::other_version", "plugin::invalid"]);
    let text = error.to_string();
    for says in
        ["3 problems", "other-world.wasm", "it exports greet", "other-version.wasm", "0.9.0", "cut.wasm"]
    {
        assert!(text.contains(says), "{says}: {text}");
    }
}
