//! `init`, `destroy` and `status`.

use std::time::Duration;

use listen::wal::{self, DestroyOptions, Error, Outcome, Parts, Subject};

use crate::bed::{Bed, on_each_major};

/// Everything in the database that `init` could leave behind.
const TRACES: &str = "SELECT string_agg(what, ', ' ORDER BY what) FROM ( \
    SELECT 'schema ' || nspname FROM pg_namespace UNION ALL SELECT 'table ' || oid::regclass FROM pg_class \
    UNION ALL SELECT 'publication ' || pubname FROM pg_publication UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots \
    UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc UNION ALL SELECT 'trigger ' || evtname FROM pg_event_trigger \
    UNION ALL SELECT 'type ' || oid::regtype FROM pg_type \
    UNION ALL SELECT 'comment ' || description FROM pg_shdescription) AS all_of (what)";

fn outcomes(actions: &[wal::Action]) -> Vec<Outcome> {
    actions.iter().map(|action| action.outcome.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn init_can_be_repeated_and_destroy_leaves_nothing_behind() {
    on_each_major!(bed, {
        let before = bed.value(TRACES).await;
        let first = wal::init(&bed.options, Parts::All).await.unwrap();
        assert!(first.iter().all(|action| action.outcome == Outcome::Created), "{first:?}");
        let words: Vec<String> = first.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "migration `0001_schema`: created",
                "migration `0002_ids`: created",
                "migration `0003_documents`: created",
                "migration `0004_schema_log`: created",
                "migration `0005_history`: created",
                "migration `0006_changes`: created",
                "schema tracking: created",
                "publication `pgstream_shop`: created",
                "replication slot `pgstream_shop_slot`: created"
            ]
        );
        let again = wal::init(&bed.options, Parts::All).await.unwrap();
        assert!(again.iter().all(|action| action.outcome == Outcome::AlreadyThere), "{again:?}");

        let removed = wal::destroy(&bed.options, DestroyOptions::default()).await.unwrap();
        assert!(removed.iter().all(|action| action.outcome == Outcome::Removed), "{removed:?}");
        assert_eq!(bed.value(TRACES).await, before);
        let again = wal::destroy(&bed.options, DestroyOptions::default()).await.unwrap();
        assert!(again.iter().all(|action| action.outcome == Outcome::NotThere), "{again:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn init_tells_what_will_not_be_followed() {
    on_each_major!(bed, {
        for n in 1..=6 {
            bed.sql(&format!("CREATE COLLATION c{n} FROM \"C\"")).await;
        }
        bed.sql("CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = simple)").await;
        for _ in 0..2 {
            let actions = wal::init(&bed.options, Parts::All).await.unwrap();
            let told = actions.iter().filter(|action| action.outcome == Outcome::NotFollowed);
            let subjects: Vec<String> = told.map(|action| action.subject.to_string()).collect();
            assert_eq!(
                subjects,
                [
                    "collation public.c1, public.c2, public.c3, public.c4, public.c5 and 1 more",
                    "text search dictionary public.d"
                ]
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_inits_at_once_do_not_meet() {
    on_each_major!(bed, {
        let (one, two) =
            tokio::join!(wal::init(&bed.options, Parts::All), wal::init(&bed.options, Parts::All));
        one.unwrap();
        two.unwrap();
        assert_eq!(bed.value("SELECT count(*) FROM pgstream.migrations").await, "6");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_can_be_made_and_removed_alone() {
    on_each_major!(bed, {
        let made = wal::init(&bed.options, Parts::Migrations).await.unwrap();
        let ours = |action: &wal::Action| matches!(action.subject, Subject::Migration(_) | Subject::Tracking);
        assert!(made.iter().all(ours) && made.len() == 7, "{made:?}");
        let made = wal::init(&bed.options, Parts::Slot).await.unwrap();
        assert_eq!(outcomes(&made), [Outcome::Created, Outcome::Created]);
        let how = DestroyOptions { parts: Parts::Migrations, ..DestroyOptions::default() };
        wal::destroy(&bed.options, how).await.unwrap();
        let status = wal::status(&bed.options).await.unwrap();
        assert_eq!((status.migration, status.publication, status.slot.is_some()), (None, true, true));
        let how = DestroyOptions { parts: Parts::Slot, ..DestroyOptions::default() };
        wal::destroy(&bed.options, how).await.unwrap();
        let status = wal::status(&bed.options).await.unwrap();
        assert_eq!((status.publication, status.slot), (false, None));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_is_used_and_left_alone() {
    on_each_major!(bed, {
        bed.sql(
            "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION pgstream_shop FOR TABLE t; \
             CREATE SCHEMA pgstream; CREATE TABLE pgstream.progress (slot text PRIMARY KEY)",
        )
        .await;
        let made = wal::init(&bed.options, Parts::All).await.unwrap();
        assert_eq!(outcomes(&made)[7..], [Outcome::AlreadyThere, Outcome::Created]);
        let removed = wal::destroy(&bed.options, DestroyOptions::default()).await.unwrap();
        let words: Vec<String> = removed.iter().map(ToString::to_string).collect();
        assert_eq!(
            words,
            [
                "replication slot `pgstream_shop_slot`: removed",
                "publication `pgstream_shop`: kept: it was not made by `pgstream init`",
                "schema `pgstream`: kept: others use it for progress"
            ]
        );
        assert_eq!(bed.value("SELECT count(*) FROM pgstream.progress").await, "0");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_of_some_tables_needs_no_superuser() {
    on_each_major!(bed, {
        let mut bed = bed;
        bed.sql(
            "CREATE ROLE app LOGIN REPLICATION; GRANT CREATE ON DATABASE shop TO app; GRANT ALL ON SCHEMA public TO app; \
             SET ROLE app; CREATE TABLE mine (id int PRIMARY KEY)",
        )
        .await;
        bed.options.url = postgres::Url::parse(&bed.server.url_as("app", "x", "shop")).unwrap();
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        let Error::NoPublicationRight { role, sql, .. } = &error else { panic!("{error:?}") };
        assert_eq!(role, "app");
        assert!(sql.starts_with("CREATE PUBLICATION \"pgstream_shop\" FOR ALL TABLES"), "{sql}");

        bed.options.tables = vec![event::TableName::new("public", "mine")];
        wal::init(&bed.options, Parts::All).await.unwrap();
        let source = bed.source().await;
        assert_eq!(source.relations().len(), 1);
        bed.options.publication = "other".into();
        bed.options.tables = vec![event::TableName::new("public", "nobodys")];
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        assert!(matches!(&error, Error::NoTable { .. }), "{error:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_program_is_refused() {
    on_each_major!(bed, {
        bed.sql("CREATE SCHEMA pgstream; CREATE TABLE pgstream.schema_migrations_core (version int)").await;
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        assert!(matches!(&error, Error::ForeignSchema { .. }), "{error:?}");
        let error = wal::destroy(&bed.options, DestroyOptions::default()).await.unwrap_err();
        assert!(matches!(&error, Error::ForeignSchema { .. }), "{error:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_another_role_is_refused() {
    on_each_major!(bed, {
        bed.sql("CREATE ROLE mallory; CREATE SCHEMA pgstream AUTHORIZATION mallory").await;
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        assert!(matches!(&error, Error::SchemaOwner { owner, .. } if owner == "mallory"), "{error:?}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_read_is_not_destroyed() {
    on_each_major!(bed, {
        bed.init().await;
        let running = bed.stream().await;
        testbed::eventually("the slot is active", async || bed.slot_is_active().await).await.unwrap();
        let error = wal::destroy(&bed.options, DestroyOptions::default()).await.unwrap_err();
        let Error::SlotActive { pid, .. } = &error else { panic!("{error:?}") };
        assert!(*pid > 0 && error.to_string().contains("`pgstream` from 127.0.0.1"), "{error}");
        let how = DestroyOptions { wait: Duration::from_secs(10), ..DestroyOptions::default() };
        let (ended, destroyed) = tokio::join!(running.end(), wal::destroy(&bed.options, how));
        ended.unwrap();
        destroyed.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_what_is_there() {
    on_each_major!(bed, {
        let status = wal::status(&bed.options).await.unwrap();
        assert_eq!(
            (status.migration, status.publication, status.slot, status.lag_bytes),
            (None, false, None, None)
        );
        bed.init().await;
        bed.sql(
            "CREATE TABLE log (at timestamptz); INSERT INTO log SELECT now() FROM generate_series(1, 1000)",
        )
        .await;
        let status = wal::status(&bed.options).await.unwrap();
        assert_eq!((status.migration, status.publication), (Some(6), true));
        assert!(status.lag_bytes.unwrap() > 10_000, "{status:?}");
        let slot = status.slot.unwrap();
        assert_eq!((slot.plugin.as_deref(), slot.database.as_deref()), (Some("pgoutput"), Some("shop")));
        assert_eq!(
            (slot.wal_status.as_deref(), slot.lost(), slot.active_pid),
            (Some("reserved"), None, None)
        );
        let without: Vec<String> = status.without_identity.iter().map(ToString::to_string).collect();
        assert_eq!(without, ["public.log has no primary key (or a deferrable one)"]);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_that_would_stop_the_users_own_updates_is_not_made() {
    on_each_major!(bed, {
        bed.sql(
            "CREATE TABLE nokey (id int); CREATE TABLE nothing (id int PRIMARY KEY); \
             ALTER TABLE nothing REPLICA IDENTITY NOTHING; CREATE UNLOGGED TABLE unlogged (id int); \
             CREATE TABLE root (id int) PARTITION BY LIST (id); CREATE TABLE leaf PARTITION OF root DEFAULT; \
             CREATE TABLE later (id int PRIMARY KEY DEFERRABLE)",
        )
        .await;
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        let Error::NoReplicaIdentity { tables } = &error else { panic!("{error:?}") };
        let names: Vec<String> = tables.iter().map(|without| without.table.name.clone()).collect();
        assert_eq!(names, ["later", "leaf", "nokey", "nothing", "root"]);
        assert_eq!(tables[2].sql(), "ALTER TABLE \"public\".\"nokey\" REPLICA IDENTITY FULL");
        for without in tables {
            bed.sql(&without.sql()).await;
        }
        bed.init().await;
        assert!(wal::status(&bed.options).await.unwrap().without_identity.is_empty());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_free_slot_is_told_with_the_limit() {
    for major in testbed::majors() {
        let bed = Bed::start(testbed::Options::major(major).set("max_replication_slots", "1")).await;
        bed.sql("SELECT pg_create_physical_replication_slot('other')").await;
        let error = wal::init(&bed.options, Parts::All).await.unwrap_err();
        let Error::NoFreeSlot { limit } = &error else { panic!("{error:?}") };
        assert_eq!(limit, "1");
        assert!(!error.is_transient());
    }
}
