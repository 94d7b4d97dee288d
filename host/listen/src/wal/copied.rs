//! What a snapshot has brought already: the stream begins before it, and brings it again.

use event::{Horizon, Lsn, Transaction};
use hashbrown::{HashMap, HashSet};

/// Until where changes are in the target already. A transaction counts as a whole: a snapshot sees all of it or
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Copied {
    /// Changes of schemas.
    schema: Option<(Horizon, Lsn)>,
    /// Rows of tables that are not in `tables` are as old as the schemas.
    all: bool,
    tables: HashMap<u32, Rows>,
    /// Tables that were made as these transactions left them.
    made: HashMap<u32, (Horizon, Lsn)>,
    /// Of no other table is anything wanted, nor any change of a schema.
    only: Option<HashSet<u32>>,
    /// No transaction from here on is in a snapshot.
    until: Lsn,
}

#[derive(Clone, Debug)]
enum Rows {
    Until(Horizon, Lsn),
    Never,
}

impl Copied {
    /// The schemas are as these transactions left them, all of which were committed before `lsn`. With `all`, what they did to
    /// rows is over too, also in tables that nobody copied: some are gone by then, others are wanted without their rows.
    pub fn schemas(&mut self, horizon: Horizon, lsn: Lsn, all: bool) {
        self.until = self.until.max(lsn);
        (self.schema, self.all) = (Some((horizon, lsn)), all);
    }

    /// The rows of the table of that oid are.
    pub fn table(&mut self, oid: u32, horizon: Horizon, lsn: Lsn) {
        self.until = self.until.max(lsn);
        self.tables.insert(oid, Rows::Until(horizon, lsn));
    }

    /// The table is not there yet, or not any more: its changes are left out.
    pub fn leave_out(&mut self, oid: u32) {
        self.tables.insert(oid, Rows::Never);
    }

    /// The table of that oid was made on the target by itself.
    pub fn made(&mut self, oid: u32, horizon: Horizon, lsn: Lsn) {
        self.until = self.until.max(lsn);
        self.made.insert(oid, (horizon, lsn));
    }

    /// Everything but the rows of these tables is another stream's.
    pub fn only(&mut self, oids: impl IntoIterator<Item = u32>) {
        self.only = Some(oids.into_iter().collect());
    }

    /// Whether all changes of the table are left out, however late they come.
    #[must_use]
    pub fn never_has(&self, oid: u32) -> bool {
        matches!(self.tables.get(&oid), Some(Rows::Never)) || self.is_of_another(oid)
    }

    fn is_of_another(&self, oid: u32) -> bool {
        self.only.as_ref().is_some_and(|only| !only.contains(&oid))
    }

    /// Whether nothing is left out any more from this transaction on, so that nobody has to ask.
    pub(crate) fn passed(&mut self, transaction: &Transaction) {
        if self.until > Lsn::ZERO && transaction.commit_lsn >= self.until {
            self.schema = None;
            self.made.clear();
            self.tables.retain(|_, rows| matches!(rows, Rows::Never));
            self.until = Lsn::ZERO;
        }
    }

    /// Whether what the transaction does to a table is to be left out.
    pub(crate) fn has_rows(&self, oid: u32, transaction: &Transaction) -> bool {
        match self.tables.get(&oid) {
            _ if self.is_of_another(oid) => true,
            None => self.all && self.has_schema(transaction),
            Some(Rows::Never) => true,
            Some(Rows::Until(horizon, lsn)) => is_in(horizon, *lsn, transaction),
        }
    }

    /// Whether what the transaction does to the table's schema is there already.
    pub(crate) fn has_made(&self, oid: u32, transaction: &Transaction) -> bool {
        self.made.get(&oid).is_some_and(|(horizon, lsn)| is_in(horizon, *lsn, transaction))
    }

    /// Whether what the transaction does to schemas is there already.
    pub(crate) fn has_schema(&self, transaction: &Transaction) -> bool {
        self.only.is_some()
            || self.schema.as_ref().is_some_and(|(horizon, lsn)| is_in(horizon, *lsn, transaction))
    }
}

/// Numbers of transactions come again; positions do not.
fn is_in(horizon: &Horizon, lsn: Lsn, transaction: &Transaction) -> bool {
    transaction.commit_lsn < lsn && horizon.sees(transaction.xid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(xid: u32, commit_lsn: u64) -> Transaction {
        Transaction { commit_lsn: Lsn(commit_lsn), committed_at: 0, xid }
    }

    #[test]
    fn a_stream_of_some_tables_leaves_out_the_others_for_ever() {
        let mut copied = Copied::default();
        copied.table(1, "8:10:8".parse().unwrap(), Lsn(100));
        copied.only([1]);
        for (xid, at, one) in [(7, 50, true), (8, 90, false), (30, 150, false)] {
            let transaction = transaction(xid, at);
            copied.passed(&transaction);
            assert_eq!(copied.has_rows(1, &transaction), one, "{xid} at {at}");
            assert!(copied.has_rows(2, &transaction) && copied.has_schema(&transaction));
        }
        assert!(copied.never_has(2) && !copied.never_has(1));
    }

    #[test]
    fn what_the_snapshot_saw_is_left_out_and_nothing_else() {
        let mut copied = Copied::default();
        copied.table(1, "8:10:8".parse().unwrap(), Lsn(100));
        copied.table(2, "8:20:".parse().unwrap(), Lsn(200));
        copied.leave_out(3);
        copied.made(3, "8:10:8".parse().unwrap(), Lsn(100));
        copied.schemas("8:10:8".parse().unwrap(), Lsn(100), false);
        let mut whole = copied.clone();
        whole.schemas("8:10:8".parse().unwrap(), Lsn(100), true);
        for (xid, at, first, second, schema) in [
            (7, 50, true, true, true),
            // Running when it was taken, committed since.
            (8, 90, false, true, false),
            (12, 95, false, true, false),
            (15, 150, false, true, false),
            (20, 150, false, false, false),
            // The same number, a long time after.
            (7, 250, false, false, false),
        ] {
            let transaction = transaction(xid, at);
            assert_eq!(copied.has_rows(1, &transaction), first, "{xid} at {at}");
            assert_eq!(copied.has_rows(2, &transaction), second, "{xid} at {at}");
            assert_eq!(copied.has_schema(&transaction), schema, "{xid} at {at}");
            assert_eq!(copied.has_made(3, &transaction), schema, "{xid} at {at}");
            assert!(copied.has_rows(3, &transaction) && !copied.has_rows(4, &transaction));
            assert_eq!(whole.has_rows(4, &transaction), schema, "{xid} at {at}");
        }
        copied.passed(&transaction(30, 199));
        assert!(copied.has_rows(2, &transaction(15, 199)));
        copied.passed(&transaction(30, 200));
        assert!(!copied.has_rows(2, &transaction(15, 201)) && copied.has_rows(3, &transaction(15, 201)));
    }
}
