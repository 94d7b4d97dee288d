//! Ranges of pages: what one reader copies at a time.

use super::Table;

/// A range of the pages of one part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Place of the table in the moment's list.
    pub table: usize,
    /// Place of the part in the table.
    pub part: usize,
    /// The first page.
    pub first: u64,
    /// The page behind the last; `None`: to the end.
    pub end: Option<u64>,
    /// About how many bytes it has.
    pub bytes: u64,
}

/// All ranges of the tables for which `wanted` is true, in the order of the tables: the largest first, so that none is
/// left for a single reader at the end.
#[must_use]
pub fn tasks(tables: &[Table], range_bytes: u64, wanted: impl Fn(&Table) -> bool) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (table, of_table) in tables.iter().enumerate().filter(|(_, table)| wanted(table)) {
        for (part, of_part) in of_table.parts.iter().enumerate() {
            // An empty one is read too: a page may have come since it was measured.
            let pages = of_part.pages.max(1);
            let page_bytes = (of_part.bytes / pages).max(1);
            let step = (range_bytes / page_bytes).max(1);
            let mut first = 0;
            while first < pages {
                let end = first.saturating_add(step);
                let is_last = end >= pages;
                let bytes = page_bytes * (end.min(pages) - first);
                tasks.push(Task { table, part, first, end: (!is_last).then_some(end), bytes });
                first = end;
            }
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use event::{Relation, ReplicaIdentity, TableName};

    use super::super::Part;
    use super::*;

    fn table(parts: &[(u64, u64)]) -> Table {
        let relation = Relation {
            oid: 1,
            id: "1".to_owned(),
            name: TableName::new("public", "t"),
            replica_identity: ReplicaIdentity::Default,
            version: 0,
            columns: Vec::new(),
        };
        let part = |(pages, bytes): &(u64, u64)| Part {
            oid: 1,
            name: relation.name.clone(),
            filenode: 1,
            pages: *pages,
            bytes: *bytes,
        };
        let parts = parts.iter().map(part).collect();
        Table { relation: Arc::new(relation), parts, portable: true }
    }

    #[test]
    fn ranges_cover_every_page_once_and_the_last_is_open() {
        for (pages, bytes, range) in
            [(0, 0, 10), (1, 8192, 8192), (10, 81920, 16384), (7, 57344, 20000), (3, 3_000_000, 1)]
        {
            let tables = [table(&[(pages, bytes), (1, 8192)])];
            let all = tasks(&tables, range, |_| true);
            for part in 0..2 {
                let mine: Vec<&Task> = all.iter().filter(|task| task.part == part).collect();
                assert_eq!(mine[0].first, 0);
                for pair in mine.windows(2) {
                    assert_eq!(pair[0].end, Some(pair[1].first));
                }
                assert_eq!(mine.last().unwrap().end, None);
            }
        }
        assert!(tasks(&[table(&[(1, 1)])], 1, |_| false).is_empty());
    }
}
