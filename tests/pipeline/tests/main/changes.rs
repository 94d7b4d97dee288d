//! Tables that change under the stream: types, identities, and values that an update left alone.

use pipeline::{PATIENCE, Rig};

#[tokio::test]
async fn an_enum_value_a_domain_and_a_generated_column_that_come_later_are_understood() {
    let ddl = "CREATE TYPE public.mood AS ENUM ('sad', 'ok'); CREATE DOMAIN public.short AS text CHECK (length(VALUE) < 5);
        CREATE TABLE public.person (id int PRIMARY KEY, mood public.mood, name public.short);";
    let mut rig = Rig::start(15, ddl, "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source("INSERT INTO public.person VALUES (1, 'ok', 'ann')").await.unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let changes = "ALTER TYPE public.mood ADD VALUE 'it''s \"great\"';
        ALTER DOMAIN public.short DROP CONSTRAINT short_check;
        ALTER TABLE public.person ADD COLUMN initial text GENERATED ALWAYS AS (left(name::text, 1)) STORED;";
    for database in ["target", "source"] {
        // An enum value cannot be used in the transaction that adds it.
        for statement in changes.split(';').filter(|statement| !statement.trim().is_empty()) {
            rig.server.sql(database, statement).await.unwrap();
        }
    }
    rig.source(
        "INSERT INTO public.person VALUES (2, 'it''s \"great\"', 'bartholomew'); \
         UPDATE public.person SET mood = 'it''s \"great\"', name = 'annabella' WHERE id = 1",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let rows =
        rig.same("SELECT id::text, mood::text, name, initial FROM public.person ORDER BY id").await.unwrap();
    assert_eq!(rows.len(), 2);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_replica_identity_that_is_taken_away_stops_the_stream_and_full_lets_it_go_on() {
    let mut rig = Rig::start(15, "CREATE TABLE public.item (id int PRIMARY KEY, v text);", "").await.unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.source(
        "INSERT INTO public.item VALUES (1, 'a'), (2, 'b'); UPDATE public.item SET v = 'c' WHERE id = 1",
    )
    .await
    .unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    // Postgres itself now refuses updates and deletes; the next insert shows the new identity to the stream.
    rig.source("ALTER TABLE public.item REPLICA IDENTITY NOTHING").await.unwrap();
    rig.source("INSERT INTO public.item VALUES (3, 'd')").await.unwrap();
    let done = pgstream.finish(PATIENCE).await.unwrap();
    assert!(done.code().is_some_and(|code| code > 0), "{:?}", done.code());
    assert!(
        done.stderr.contains("no_replica_identity") && done.stderr.contains("public.item"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("REPLICA IDENTITY"), "{}", done.stderr);

    rig.source("ALTER TABLE public.item REPLICA IDENTITY FULL").await.unwrap();
    rig.source("UPDATE public.item SET v = 'e' WHERE id = 2; DELETE FROM public.item WHERE id = 1")
        .await
        .unwrap();
    let mut pgstream = rig.run().unwrap();
    rig.caught_up(&mut pgstream).await.unwrap();
    let rows = rig.same("SELECT * FROM public.item ORDER BY id").await.unwrap();
    assert_eq!(rows.len(), 2);
    rig.drain(pgstream).await.unwrap();
}

#[tokio::test]
async fn a_large_value_that_an_update_left_alone_stays_under_every_identity() {
    let ddl = "CREATE TABLE public.by_key (id int PRIMARY KEY, n int, big text);
        CREATE TABLE public.by_row (id int PRIMARY KEY, n int, big text); ALTER TABLE public.by_row REPLICA IDENTITY FULL;
        CREATE TABLE public.by_index (id int NOT NULL, n int, big text); CREATE UNIQUE INDEX by_index_id ON public.by_index (id);
        ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_id;
        ALTER TABLE public.by_key ALTER big SET STORAGE EXTERNAL; ALTER TABLE public.by_row ALTER big SET STORAGE EXTERNAL;
        ALTER TABLE public.by_index ALTER big SET STORAGE EXTERNAL;";
    let modifiers = "modifiers:\n  injector: {enabled: true}\n  filter: {include_tables: ['public.*']}\n";
    for modifiers in ["", modifiers] {
        let mut rig = Rig::start(15, ddl, modifiers).await.unwrap();
        let mut pgstream = rig.run().unwrap();
        for table in ["by_key", "by_row", "by_index"] {
            rig.source(&format!(
                "INSERT INTO public.{table} SELECT i, 0, repeat(md5(i::text), 200) FROM generate_series(1, 60) i"
            ))
            .await
            .unwrap();
            // Alone, in a batch with changes of the value, before and after, and of the key.
            rig.source(&format!("UPDATE public.{table} SET n = 1 WHERE id = 1")).await.unwrap();
            rig.source(&format!("UPDATE public.{table} SET n = 2 WHERE id BETWEEN 2 AND 50")).await.unwrap();
            rig.source(&format!(
                "BEGIN; UPDATE public.{table} SET big = repeat('new', 3000) WHERE id = 3; UPDATE public.{table} SET n = 3 WHERE id = 3; \
                 UPDATE public.{table} SET n = 4 WHERE id = 4; UPDATE public.{table} SET big = repeat('x', 3000) WHERE id = 4; \
                 UPDATE public.{table} SET id = 100, n = 5 WHERE id = 5; UPDATE public.{table} SET n = 6 WHERE id = 100; \
                 UPDATE public.{table} SET big = NULL WHERE id = 6; UPDATE public.{table} SET n = 7 WHERE id = 6; COMMIT"
            ))
            .await
            .unwrap();
        }
        rig.caught_up(&mut pgstream).await.unwrap();
        for table in ["by_key", "by_row", "by_index"] {
            let query = format!("SELECT id, n, length(big), md5(big) FROM public.{table} ORDER BY id");
            let rows = rig.same(&query).await.unwrap();
            assert_eq!(rows.len(), 60);
        }
        rig.drain(pgstream).await.unwrap();
    }
}
