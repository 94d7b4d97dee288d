//! Harm in `bind`, by filters and by injectors, and plugins that cannot go on.

use super::*;

#[test]
fn harm_in_bind_is_refused_before_a_row_flows() {
    let users = users();
    for (harm, code, says) in [
        ("bind-loop", "modify::plugin_defect", "crashed in `bind`: it ran longer than 500ms"),
        ("bind-panic", "modify::plugin_defect", "crashed in `bind`: it panicked"),
        ("bind-grow", "modify::plugin_defect", "crashed in `bind`: it wanted more than 24 MiB of memory"),
        ("bind-huge", "modify::plugin_defect", "crashed in `bind`: it gave back more than 1048576 bytes"),
        ("bind-many-reads", "modify::plugin_defect", "reads 100000 columns of a table with 4"),
        ("bind-reads-beyond", "modify::plugin_defect", "reads column 9999, which the table does not have"),
        ("bind-writes-beyond", "modify::plugin_defect", "writes column 9999, which the table does not have"),
        ("bind-dead", "modify::plugin_defect", "crashed in `bind`: it trapped (unknown handle index"),
        (
            "bind-refuse-in-lines",
            "modify::refused",
            "refuses it: no 2026-01-01T00:00:00Z ERROR a line of its own [2J",
        ),
    ] {
        let columns = [("name", harm_rule(harm)), ("email", mask_email())];
        let mut chain =
            Chain::load(&with_error(&columns, OnError::Null, vec![impatient(hostile("transformer"), harm)]))
                .unwrap();
        let start = Instant::now();
        let error = chain.bind(&[Arc::clone(&users)]).unwrap_err();
        assert_eq!(codes(&error), [code], "{harm}: {error}");
        let text = error.to_string();
        assert!(
            text.starts_with("public.users.name: plugin `hostile` ") && text.contains(says),
            "{harm}: {text}"
        );
        assert!(error.help().is_some(), "{harm}");
        assert!(start.elapsed() < Duration::from_secs(5), "{harm}: {:?}", start.elapsed());
    }
}

#[test]
fn a_plugin_that_cannot_be_started_again_stops_and_no_other_row_pays() {
    let users = users();
    let folder = tempfile::tempdir().unwrap();
    let mut plugin = hostile("transformer");
    plugin.grants = vec![format!("read:{}", folder.path().display()).parse().unwrap()];
    let mut chain = bound(&with_error(&[("name", harm_rule("panic"))], OnError::Drop, vec![plugin]), &users);
    let rest = || batch(&users, &["+ 1 a b 1", "+ 2 a c 2"]);
    assert_eq!(chain.apply(rest()).unwrap().rows(), 2);
    folder.close().unwrap();
    let error = chain.apply(prey(&users)).unwrap_err();
    assert_eq!(codes(&error), ["modify::plugin_lost"]);
    let text = error.to_string();
    assert!(
        text.starts_with("plugin `hostile` is lost to public.users (column `name`, `panic`): "),
        "{text}"
    );
    assert!(error.help().unwrap().to_string().contains("grants"));
    let counters = chain.counters();
    assert_eq!((counters.plugins[0].failures.dropped, counters.plugins[0].failures.stopped), (0, 1));
}

#[test]
fn a_filter_that_answers_wrongly_is_wrong_about_that_row_alone() {
    let users = users_full();
    for (harm, code) in [
        ("fewer", "contract"),
        ("more", "contract"),
        ("neither", "contract"),
        ("panic", "panic"),
        ("loop", "time"),
        ("huge", "output"),
    ] {
        let mut filter = impatient(hostile("filter"), harm);
        filter.offer = Some(harm.into());
        filter.settings = json!({ "column": "name", "value": SECRET }).as_object().unwrap().clone();
        let options = |on_error| with_error(&[("email", mask_email())], on_error, vec![filter.clone()]);
        let out = bound(&options(OnError::Drop), &users).apply(prey(&users)).unwrap();
        let names: Vec<String> = without_email(&out);
        let want: Vec<String> =
            (0..ROWS).filter(|at| *at != PREY).map(|at| format!("{at} good{at} {at}")).collect();
        assert_eq!(names, want, "{harm}");
        // To let it pass unasked would be a leak: every other policy stops.
        for on_error in [OnError::Stop, OnError::Null, OnError::Pass] {
            let error = bound(&options(on_error), &users).apply(prey(&users)).unwrap_err();
            let text = error.to_string();
            assert_eq!(codes(&error), ["modify::row_failed"], "{harm}");
            assert!(
                text.contains("public.users (filter by row, row 13") && text.ends_with(&format!("[{code}]")),
                "{text}"
            );
            assert!(!text.contains("Zebra"), "{text}");
        }
    }
}

#[test]
fn a_filter_that_does_harm_in_bind_is_refused() {
    let users = users_full();
    for (harm, says) in
        [("bind-loop", "it ran longer than 500ms"), ("bind-many-reads", "reads 100000 columns")]
    {
        let mut filter = impatient(hostile("filter"), harm);
        filter.offer = Some(harm.into());
        filter.settings = json!({ "column": "name", "value": "x" }).as_object().unwrap().clone();
        let mut chain = Chain::load(&Options { plugins: vec![filter], ..Options::default() }).unwrap();
        let error = chain.bind(&[Arc::clone(&users)]).unwrap_err();
        assert_eq!(codes(&error), ["modify::plugin_defect"]);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn an_injector_that_answers_wrongly_stops_at_that_row() {
    let users = users();
    let injector = |harm: &str| {
        let mut injector = hostile("injector");
        injector.offer = Some(harm.into());
        injector.settings = json!({ "value": SECRET }).as_object().unwrap().clone();
        Options { plugins: vec![injector], ..Options::default() }
    };
    let changes = ["+ a a b 1".to_owned(), format!("+ {SECRET} a b 2"), "+ c a b 3".to_owned()];
    let three = || batch(&users, &changes.iter().map(String::as_str).collect::<Vec<_>>());
    let out = bound(&injector("none"), &users).apply(three()).unwrap();
    assert_eq!(out.chunks[0].versions, [0, 1, 2]);
    for (harm, subject, code) in [
        ("fewer-identities", "identity", "contract"),
        ("more-identities", "identity", "contract"),
        ("identities-backwards", "identity", "contract"),
        ("identities-beyond", "identity", "contract"),
        ("identities-not-utf8", "identity", "contract"),
        ("panic", "identity", "panic"),
        ("fewer-versions", "version", "contract"),
        ("more-versions", "version", "contract"),
    ] {
        let error = bound(&injector(harm), &users).apply(three()).unwrap_err();
        assert_eq!(codes(&error), ["modify::row_failed"], "{harm}");
        let text = error.to_string();
        assert!(text.contains(&format!("public.users ({subject}, row 1 ")), "{harm}: {text}");
        assert!(text.ends_with(&format!("[{code}]")) && !text.contains("Zebra"), "{harm}: {text}");
    }
    let mut chain = Chain::load(&injector("bind-columns-beyond")).unwrap();
    let error = chain.bind(&[users]).unwrap_err();
    assert_eq!(codes(&error), ["modify::plugin_defect"]);
}
