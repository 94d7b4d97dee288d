//! Load whose outcome is known: every change of every row is also noted, in the same transaction, in a ledger that is
//! replicated with the rows.
//!
//! Triggers on the source note each row that comes as +1 and each that goes as -1 of its digest. So at every moment,
//! on the source and on a target, the sum over the ledger is the rows that must be there, whatever the order of the
//! writers was; and each transaction says at its end how many notes it made, so that half of one is seen too.
//! [`check::problems`] asks for all of that in one statement, that is, in one snapshot: it may be asked while the
//! load runs, and [`check::Watcher`] does so again and again.

mod change;
pub mod check;
mod load;
mod tables;

pub use load::{Load, Written};

use crate::{Postgres, Result};

const LEDGER: &str = "
CREATE SCHEMA ledger;
CREATE TABLE ledger.entry (seq bigint PRIMARY KEY, tx bigint NOT NULL, tbl text NOT NULL, digest text NOT NULL, delta int NOT NULL);
CREATE INDEX ON ledger.entry (tx);
CREATE TABLE ledger.transaction (tx bigint PRIMARY KEY, entries bigint NOT NULL);
CREATE SCHEMA load;
";

/// What notes the changes, on the source alone.
const NOTES: &str = "
CREATE SEQUENCE ledger.seq;
CREATE FUNCTION ledger.note(tbl text, digest text, delta int) RETURNS void LANGUAGE sql AS
$$INSERT INTO ledger.entry VALUES (nextval('ledger.seq'), txid_current(), tbl, digest, delta)$$;
CREATE FUNCTION ledger.row_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN PERFORM ledger.note(TG_ARGV[0], md5(OLD::text), -1); END IF;
    IF TG_OP <> 'DELETE' THEN PERFORM ledger.note(TG_ARGV[0], md5(NEW::text), 1); END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION ledger.table_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT ledger.note(%L, md5(t::text), -1) FROM %s AS t', TG_ARGV[0], TG_ARGV[0]);
    RETURN NULL;
END $$;
CREATE FUNCTION ledger.end_of_transaction() RETURNS void LANGUAGE sql AS
$$INSERT INTO ledger.transaction SELECT tx, count(*) FROM ledger.entry WHERE tx = txid_current() GROUP BY tx$$;
";

/// Makes the tables of the load and the ledger, as a source or a target has them.
///
/// # Errors
///
/// What the server says.
pub async fn create(server: &Postgres, database: &str) -> Result<()> {
    let mut sql = LEDGER.to_owned();
    for table in &tables::TABLES {
        sql.push_str(table.ddl);
    }
    server.sql(database, &sql).await
}

/// Has the source note every change.
///
/// # Errors
///
/// What the server says.
pub async fn watch_source(server: &Postgres, database: &str) -> Result<()> {
    let mut sql = NOTES.to_owned();
    for table in &tables::TABLES {
        let (name, argument) = (table.name, table.name.replace('\'', "''"));
        sql.push_str(&format!(
            "CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON {name} FOR EACH ROW \
                 EXECUTE FUNCTION ledger.row_changed('{argument}');\n\
             CREATE TRIGGER emptied BEFORE TRUNCATE ON {name} FOR EACH STATEMENT \
                 EXECUTE FUNCTION ledger.table_emptied('{argument}');\n"
        ));
    }
    server.sql(database, &sql).await
}
