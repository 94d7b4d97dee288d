//! Each form of each statement that is followed, by its name in Postgres' own synopsis.

mod relation;
mod routine;
mod table;
mod table_constraint;
mod table_create;
mod types;

use futures_util::future::join_all;

use crate::dump::Dump;
use crate::pair::{Pair, Server};

/// Statements that end with the form that gives the name; some forms are newer than the oldest major.
pub(crate) struct Form {
    name: &'static str,
    since: u16,
    statements: &'static [&'static str],
    /// What Postgres has no statement for that would make it at once.
    only_step_by_step: bool,
}

/// A form that every major has.
const fn form(name: &'static str, statements: &'static [&'static str]) -> Form {
    Form { name, since: 14, statements, only_step_by_step: false }
}

/// A form that leaves an heir with its columns in another order than CREATE TABLE would give them.
const fn step_by_step(name: &'static str, statements: &'static [&'static str]) -> Form {
    Form { name, since: 14, statements, only_step_by_step: true }
}

/// A form that came with a major.
const fn since(since: u16, name: &'static str, statements: &'static [&'static str]) -> Form {
    Form { name, since, statements, only_step_by_step: false }
}

/// Each on databases of its own; all that fail are told.
async fn follow(forms: &[Form]) {
    let dump = Dump::new(false);
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let forms: Vec<&Form> = forms.iter().filter(|form| form.since <= major).collect();
        // The statements are the same on each: the newest has all forms.
        let at_once = testbed::majors().last() == Some(&major);
        let parts = forms.chunks(forms.len().div_ceil(WORKERS)).enumerate();
        let told = join_all(parts.map(|(at, part)| tell_all(&server, &dump, at, part, at_once))).await;
        let failed = told.concat();
        assert!(failed.is_empty(), "-- {major}\n{}", failed.join("\n"));
    }
}

/// How many forms are told at a time.
const WORKERS: usize = 3;

/// One after the other, on the same databases as long as nothing goes wrong: making some takes longer than to tell a form.
async fn tell_all(server: &Server, dump: &Dump, at: usize, forms: &[&Form], at_once: bool) -> Vec<String> {
    let mut failed = Vec::new();
    let mut pair = server.pair(&at.to_string()).await;
    // Schema `public` that a database begins with has a comment that nobody gave it.
    pair.step(CLEAN).await.unwrap();
    for form in forms {
        if let Err(error) = tell(&mut pair, dump, form, at_once).await {
            failed.push(format!("-- {}: {error}", form.name));
            pair = server.pair(&format!("{at} after {}", failed.len())).await;
            pair.step(CLEAN).await.unwrap();
        }
    }
    failed
}

/// Leaves the databases as they were.
async fn tell(pair: &mut Pair, dump: &Dump, form: &Form, at_once: bool) -> Result<(), String> {
    for sql in form.statements {
        // What is not followed, but needed on both sides.
        if let Some(sql) = sql.strip_prefix("both: ") {
            pair.source.batch_execute(sql).await.map_err(|error| error.to_string())?;
            pair.target.batch_execute(sql).await.map_err(|error| error.to_string())?;
            continue;
        }
        pair.step(sql).await?;
    }
    let told = form.statements.join(";\n");
    pair.compare_dumps(dump, &told).await?;
    if at_once && !form.only_step_by_step {
        make_at_once(pair, dump, &told).await?;
    }
    pair.step(CLEAN).await
}

/// The same from nothing, as `pgstream schema show` tells it.
async fn make_at_once(pair: &Pair, dump: &Dump, told: &str) -> Result<(), String> {
    let clean = format!("{CLEAN}; DROP SCHEMA public");
    pair.target.batch_execute(&clean).await.map_err(|error| error.to_string())?;
    let statements = schema::statements(&schema::between(&[], &pair.objects().await));
    let told = format!("{told}\n-- made at once");
    pair.define(&statements).await.map_err(|error| format!("{told}\n{error}"))?;
    pair.compare(&told, &statements).await?;
    pair.compare_dumps(dump, &told).await
}

/// Everything goes, followed like any other statement.
const CLEAN: &str = "DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|pgstream)' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
END $$";
