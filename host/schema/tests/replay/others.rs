//! Objects that are not followed: nobody is to find out by the table that needs them.

use crate::pair::Server;

#[tokio::test]
async fn what_is_not_followed_is_told_by_name_when_it_comes_and_when_it_goes() {
    let made = [
        ("CREATE COLLATION c (provider = icu, locale = 'und')", "collation public.c"),
        ("CREATE TEXT SEARCH CONFIGURATION s (COPY = simple)", "text search configuration public.s"),
        ("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)", "text search dictionary public.d"),
        (
            "CREATE FUNCTION eq(e, e) RETURNS bool LANGUAGE sql AS 'SELECT true'; \
             CREATE OPERATOR = (LEFTARG = e, RIGHTARG = e, FUNCTION = eq)",
            "operator public.=(public.e,public.e)",
        ),
        ("CREATE CAST (e AS int) WITH INOUT", "cast (public.e AS integer)"),
        ("CREATE FOREIGN DATA WRAPPER w", "foreign-data wrapper w"),
        ("CREATE SERVER r FOREIGN DATA WRAPPER w", "server r"),
        ("CREATE FOREIGN TABLE f (a int) SERVER r", "foreign table public.f"),
    ];
    let told = "SELECT c->>'kind' || ' ' || (c->>'name') FROM pgstream.schema_log AS l, jsonb_array_elements(l.changes::jsonb) AS c \
                WHERE l.version > $1 AND (c ? 'after') = $2 AND c->>'kind' NOT IN ('type', 'function', 'schema') ORDER BY 1";
    for major in testbed::majors() {
        let server = Server::start(major).await;
        let pair = server.pair("others").await;
        let source = &pair.source;
        source.batch_execute("CREATE TYPE e AS ENUM ()").await.unwrap();
        let last = async || -> i64 {
            source.query_one("SELECT max(version) FROM pgstream.schema_log", &[]).await.unwrap().get(0)
        };
        for (sql, name) in made {
            let before = last().await;
            source.batch_execute(sql).await.unwrap();
            let rows = source.query(told, &[&before, &true]).await.unwrap();
            let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            assert_eq!(names, [name], "{major}: {sql}");
        }
        // A look at everything tells nothing new.
        source.batch_execute("SELECT pgstream.refresh_schema('public')").await.unwrap();
        let before = last().await;
        source
            .batch_execute("DROP SCHEMA public CASCADE; DROP FOREIGN DATA WRAPPER w CASCADE")
            .await
            .unwrap();
        let rows = source.query(told, &[&before, &false]).await.unwrap();
        let mut names: Vec<&str> = made.iter().map(|(_, name)| *name).collect();
        names.sort_unstable();
        let mut gone: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        gone.sort_unstable();
        assert_eq!(gone, names, "{major}");
        let changes =
            "SELECT changes::text FROM pgstream.schema_log WHERE version > $1 ORDER BY version LIMIT 1";
        let text: String = source.query_one(changes, &[&before]).await.unwrap().get(0);
        let others = schema::Change::not_followed(&text).unwrap();
        assert!(!others.is_empty() && others.iter().all(|other| other.is_gone), "{others:?}");
    }
}
