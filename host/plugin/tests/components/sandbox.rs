//! What a plugin can see of the host: nothing without a grant, and with one that thing alone.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use event::{Cells, Value};
use plugin::{ColumnType, Grant, Limits, Rows, Rule, Running, Shape, gather, scatter};

use crate::{load, table, user};

struct Eyes {
    running: Running,
    bound: plugin::Bound,
}

impl Eyes {
    fn open(grants: &[&str], secret: &[u8]) -> Self {
        let grants: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        let mut running = load(user("look-around")).start("eyes", Limits::default(), grants, secret).unwrap();
        let relation = table(&[("id", 23, "integer"), ("what", 25, "text")]);
        let rule = Rule { offer: "look".into(), settings: vec![], relation, targets: vec![1], key: vec![] };
        let (bound, _) = running.bind_transform(rule).unwrap();
        Self { running, bound }
    }

    /// What it sees in a row that was committed at this time.
    fn look_at(&mut self, what: &str, committed_at: i64, seed: u64) -> String {
        let source: Cells = [Value::Present(what.as_bytes())].into_iter().collect();
        let column = gather(&source, 0..1, 1, Shape::Text, ColumnType::Text(None)).column;
        let committed_at = [committed_at];
        let rows = Rows {
            count: 1,
            ops: &[0],
            committed_at: &committed_at,
            nonces: &[],
            seed,
            columns: vec![column],
        };
        let output = self.running.apply(self.bound, &rows).unwrap();
        let column = output.columns.into_iter().next().unwrap();
        let back = scatter(column, ColumnType::Text(None), &source, 0..1).unwrap().cells;
        let Value::Present(seen) = back.get(0) else { panic!("a text") };
        String::from_utf8(seen.to_vec()).unwrap()
    }

    fn look(&mut self, what: &str) -> String {
        self.look_at(what, 0, 0)
    }
}

#[test]
fn without_grants_there_is_nothing_to_see() {
    let mut eyes = Eyes::open(&[], b"secret");
    assert_eq!(eyes.look("env PATH"), "nothing");
    assert_eq!(eyes.look("args"), "0");
    for what in ["read /etc/hostname", "read .", "write /tmp/pgstream-was-here", "connect 127.0.0.1:5432"] {
        let seen = eyes.look(what);
        assert!(seen.starts_with("no: "), "{what}: {seen}");
    }
    assert!(!std::path::Path::new("/tmp/pgstream-was-here").exists());
}

#[test]
fn the_clock_is_the_commit_time_and_a_sleep_is_over_at_once() {
    let mut eyes = Eyes::open(&[], b"secret");
    assert_eq!(eyes.look_at("time", 1_700_000_000_123_456, 0), "1700000000123456");
    assert_eq!(eyes.look_at("time", -5, 0), "0", "WASI has no time before 1970");
    let start = Instant::now();
    assert_eq!(eyes.look("sleep"), "true");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn random_numbers_come_again_with_the_same_secret_only() {
    // One draw for each instance: the standard library seeds itself once.
    let draw = |secret: &[u8]| Eyes::open(&[], secret).look("random");
    assert_eq!(draw(b"one"), draw(b"one"));
    assert_ne!(draw(b"one"), draw(b"two"));
    let free = || Eyes::open(&["random"], b"one").look("random");
    assert_ne!(free(), free());
}

#[test]
fn a_grant_opens_one_thing() {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("lists"), folder.path().join("secret"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(inside.join("names"), "anna").unwrap();
    std::fs::write(&outside, "no").unwrap();
    let grant = format!("read:{}", inside.display());
    let mut eyes = Eyes::open(&[&grant, "env:PATH"], b"secret");
    assert_eq!(eyes.look(&format!("read {}/names", inside.display())), "anna");
    for what in [
        format!("read {}", outside.display()),
        format!("read {}/../secret", inside.display()),
        format!("write {}/names", inside.display()),
    ] {
        let seen = eyes.look(&what);
        assert!(seen.starts_with("no: "), "{what}: {seen}");
    }
    assert_eq!(eyes.look("env PATH"), std::env::var("PATH").unwrap());
    assert_eq!(eyes.look("env HOME"), "nothing");
    let mut eyes = Eyes::open(&["clock"], b"secret");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    assert!(eyes.look("time").parse::<u128>().unwrap() >= now);
}
