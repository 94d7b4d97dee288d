//! Objects that may be made in any order: one that would wait for another's lock comes later, if there is something else to do.

use std::collections::VecDeque;

use ::postgres::archive::Entry;

pub(super) struct Queue {
    left: VecDeque<Entry>,
    /// What sessions are making.
    busy: Vec<Entry>,
}

impl Queue {
    pub(super) fn new(left: VecDeque<Entry>) -> Self {
        Self { left, busy: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<Entry> {
        let waits = |entry: &Entry| self.busy.iter().any(|other| conflict(entry, other));
        let at = self.left.iter().position(|entry| !waits(entry)).unwrap_or(0);
        let entry = self.left.remove(at)?;
        self.busy.push(entry.clone());
        Some(entry)
    }

    pub(super) fn done(&mut self, entry: &Entry) {
        self.busy.retain(|other| other.id != entry.id);
    }
}

/// Whether two need the same table (or something else, which does no harm). Only indexes may be made at the same time.
fn conflict(one: &Entry, other: &Entry) -> bool {
    let is_index = |entry: &Entry| entry.kind == "INDEX";
    !(is_index(one) && is_index(other)) && one.needs.iter().any(|id| other.needs.contains(id))
}

#[cfg(test)]
mod tests {
    use ::postgres::archive::Section;

    use super::super::choose::tests::entry as any;
    use super::*;

    fn entry(id: i32, kind: &str, needs: &[i32]) -> Entry {
        any(id, kind, "", Section::PostData, needs)
    }

    #[test]
    fn what_would_wait_for_a_lock_comes_later() {
        let entries = [
            entry(10, "CONSTRAINT", &[1]),
            entry(11, "INDEX", &[1]),
            entry(12, "INDEX", &[1]),
            entry(13, "FK CONSTRAINT", &[1, 2]),
            entry(14, "INDEX", &[2]),
        ];
        let mut queue = Queue::new(entries.to_vec().into());
        let mut next = |done: &[i32]| {
            done.iter().for_each(|id| queue.done(&entry(*id, "", &[])));
            queue.next().map(|entry| entry.id)
        };
        assert_eq!((next(&[]), next(&[])), (Some(10), Some(14)));
        assert_eq!((next(&[10]), next(&[]), next(&[14])), (Some(11), Some(12), Some(13)));
        assert_eq!(next(&[11, 12, 13]), None);
    }
}
