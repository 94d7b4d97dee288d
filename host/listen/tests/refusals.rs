//! What a source is refused for: code, cause and remedy, before the first row where that can be.

use std::time::Duration;

use event::Lsn;
use listen::wal::{self, Error, Parts, Source};
use miette::Diagnostic;

use crate::bed::{Bed, Running, of, on_each_major};

fn code(error: &Error) -> String {
    error.code().map(|code| code.to_string()).unwrap_or_default()
}

fn help(error: &Error) -> String {
    error.help().map(|help| help.to_string()).unwrap_or_default()
}

async fn refused(bed: &Bed) -> Error {
    Source::connect(bed.options.clone()).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_anothers_is_told_by_name() {
    on_each_major!(bed, {
        let mut bed = bed;
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::no_publication", "{error}");
        wal::init(&bed.options, Parts::All).await.unwrap();
        bed.options.slot = "nobody".into();
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::no_slot", "{error}");
        assert!(error.to_string().contains("`nobody`") && help(&error).contains("pgstream init"));

        bed.sql("SELECT pg_create_physical_replication_slot('physical')").await;
        bed.options.slot = "physical".into();
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::other_slot", "{error}");
        assert!(error.to_string().contains("a physical slot"), "{error}");

        let elsewhere = "SELECT pg_create_logical_replication_slot('elsewhere', 'pgoutput')";
        bed.server.sql("postgres", elsewhere).await.unwrap();
        bed.options.slot = "elsewhere".into();
        let error = refused(&bed).await;
        assert!(error.to_string().contains("a slot of database `postgres`"), "{error}");
        assert!(matches!(wal::init(&bed.options, Parts::Slot).await, Err(Error::OtherSlot { .. })));

        bed.options.slot = "No Slot".into();
        assert_eq!(code(&refused(&bed).await), "listen::slot_name");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_logical_log_and_a_role_without_rights() {
    for major in testbed::majors() {
        let bed = Bed::start(testbed::Options::major(major).set("wal_level", "replica")).await;
        for error in [refused(&bed).await, wal::init(&bed.options, Parts::All).await.unwrap_err()] {
            assert_eq!(code(&error), "listen::wal_level");
            assert!(error.to_string().contains("wal_level = replica"), "{error}");
        }
    }
    on_each_major!(bed, {
        let mut bed = bed;
        bed.sql("CREATE ROLE \"no body\" LOGIN").await;
        bed.init().await;
        bed.options.url.user = "no body".into();
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::no_replication_right");
        assert!(help(&error).contains("ALTER ROLE \"no body\" WITH REPLICATION"), "{}", help(&error));
        bed.sql("ALTER ROLE \"no body\" REPLICATION").await;
        bed.options.slot = "another".into();
        wal::init(&bed.options, Parts::Slot).await.unwrap();
        bed.server.create_database("other").await.unwrap();
        bed.options.url.database = "other".into();
        let error = wal::init(&bed.options, Parts::Migrations).await.unwrap_err();
        assert_eq!(code(&error), "listen::no_schema_right");
        assert!(
            help(&error).contains("GRANT CREATE ON DATABASE \"other\" TO \"no body\""),
            "{}",
            help(&error)
        );
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_in_use_is_waited_for_and_then_told_with_its_reader() {
    on_each_major!(bed, {
        let mut bed = bed;
        bed.init().await;
        let running = bed.stream().await;
        testbed::eventually("the slot is active", async || bed.slot_is_active().await).await.unwrap();
        bed.options.slot_wait = Duration::from_millis(300);
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::slot_active");
        assert!(help(&error).contains("pg_terminate_backend("), "{}", help(&error));
        bed.options.slot_wait = Duration::from_secs(10);
        let (ended, source) = tokio::join!(running.end(), Source::connect(bed.options.clone()));
        ended.unwrap();
        source.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_is_never_read_from_now_on() {
    for major in testbed::majors() {
        let settings = testbed::Options::major(major)
            .set("max_slot_wal_keep_size", "1MB")
            .set("max_wal_size", "32MB")
            .set("min_wal_size", "32MB")
            .set("wal_keep_size", "0");
        let bed = Bed::start(settings).await;
        bed.init().await;
        for _ in 0..4 {
            bed.sql(
                "CREATE TABLE x AS SELECT repeat('x', 1000) FROM generate_series(1, 20000); DROP TABLE x",
            )
            .await;
            bed.sql("SELECT pg_switch_wal()").await;
            bed.sql("CHECKPOINT").await;
        }
        let error = refused(&bed).await;
        assert_eq!(code(&error), "listen::slot_lost", "{error}");
        assert!(!error.is_transient());
        assert!(wal::status(&bed.options).await.unwrap().slot.unwrap().lost().is_some());
        wal::destroy(&bed.options, wal::DestroyOptions::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_is_younger_than_the_slot_is_told() {
    on_each_major!(bed, {
        bed.sql("SELECT pg_create_logical_replication_slot('pgstream_shop_slot', 'pgoutput')").await;
        bed.sql("INSERT INTO done DEFAULT VALUES").await;
        bed.init().await;
        let error = bed.stream().await.failed().await;
        assert_eq!(code(&error), "listen::no_publication", "{error}");
        assert!(help(&error).contains("pgstream destroy"));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_log_is_refused() {
    on_each_major!(bed, {
        bed.init().await;
        let source = bed.source().await;
        let (out, _batches) = buffer::link();
        let (_confirm, confirmed) = tokio::sync::watch::channel(Lsn(0));
        let beyond = Lsn(source.confirmed().0 + (1 << 40));
        let error =
            source.stream(beyond, out, buffer::Budget::new(1 << 20), confirmed, Default::default()).await;
        assert_eq!(code(&error.unwrap_err()), "listen::ahead");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_identity_are_refused_at_the_start_if_they_are_wanted() {
    on_each_major!(bed, {
        bed.init().await;
        bed.sql(
            "CREATE TABLE nokey (id int); CREATE TABLE nothing (id int PRIMARY KEY); \
             ALTER TABLE nothing REPLICA IDENTITY NOTHING; CREATE TABLE root (id int PRIMARY KEY) PARTITION BY LIST (id); \
             CREATE TABLE leaf PARTITION OF root DEFAULT; ALTER TABLE leaf REPLICA IDENTITY NOTHING",
        )
        .await;
        let mut source = bed.source().await;
        let error = source.check_identities(|_| true).await.unwrap_err();
        let Error::NoReplicaIdentity { tables } = &error else { panic!("{error:?}") };
        // Of one that was made since, inserts go on: Postgres refuses the rest.
        assert_eq!(tables.len(), 2, "{error}");
        assert!(
            help(&error).contains("ALTER TABLE \"public\".\"leaf\" REPLICA IDENTITY FULL;"),
            "{}",
            help(&error)
        );
        source.check_identities(|table| table.name == "done").await.unwrap();
        // Nor does the stream mind a table that nobody wants.
        let mut running = Running::start(source, 1 << 20);
        bed.sql("INSERT INTO nokey VALUES (1)").await;
        assert!(running.lines(&bed).await.contains(&"insert public.nokey (id=1)".to_owned()));
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_identity_is_refused_when_it_appears() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE t (id int PRIMARY KEY)").await;
        bed.init().await;
        let mut source = bed.source().await;
        source.check_identities(|_| true).await.unwrap();
        let mut running = Running::start(source, 1 << 20);
        bed.sql("INSERT INTO t VALUES (1)").await;
        assert_eq!(running.lines(&bed).await.len(), 3);
        bed.sql("ALTER TABLE t REPLICA IDENTITY NOTHING; INSERT INTO t VALUES (2)").await;
        let error = running.failed().await;
        assert_eq!(code(&error), "listen::no_replica_identity");
        assert_eq!(
            error.to_string(),
            "updates and deletes cannot be replicated: public.t has REPLICA IDENTITY NOTHING"
        );
        // With the remedy the stream goes on, at the row that was refused.
        bed.sql("ALTER TABLE t REPLICA IDENTITY FULL").await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_inserts_needs_no_identity() {
    on_each_major!(bed, {
        bed.sql("CREATE TABLE log (v text); CREATE PUBLICATION pgstream_shop FOR ALL TABLES WITH (publish = 'insert')").await;
        bed.init().await;
        let mut source = bed.source().await;
        source.check_identities(|_| true).await.unwrap();
        let mut running = Running::start(source, 1 << 20);
        bed.sql("INSERT INTO log VALUES ('a')").await;
        assert_eq!(running.lines(&bed).await[1], "insert public.log (v=a)");
        running.end().await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_never_shows_it() {
    for major in testbed::majors() {
        let server =
            testbed::Postgres::start(testbed::Options::major(major).auth(testbed::Auth::Password)).unwrap();
        server.create_database(crate::bed::DATABASE).await.unwrap();
        let mut options = of(&server);
        wal::init(&options, Parts::All).await.unwrap();
        // The right one works on both connections.
        let running = Running::start(Source::connect(options.clone()).await.unwrap(), 1 << 20);
        running.end().await.unwrap();
        options.url.password = Some("hunter2".into());
        let error = Source::connect(options).await.unwrap_err();
        assert_eq!(code(&error), "postgres::login");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
