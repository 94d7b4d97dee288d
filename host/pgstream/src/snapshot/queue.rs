//! The ranges that no reader has taken yet. Those of a table that somebody has paused stay until it goes on.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use listen::snapshot::Task;
use tokio::sync::watch;

pub(super) struct Queue {
    tasks: Mutex<VecDeque<Task>>,
    /// Places of the tables that wait.
    paused: watch::Sender<HashSet<usize>>,
}

impl Queue {
    pub(super) fn new(tasks: Vec<Task>) -> Self {
        Self { tasks: Mutex::new(tasks.into()), paused: watch::Sender::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The next range; waits while all that are left are to wait. `None` once there is none left.
    pub(super) async fn next(&self) -> Option<Task> {
        let mut changes = self.paused.subscribe();
        loop {
            {
                let paused = changes.borrow_and_update();
                let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
                if tasks.is_empty() {
                    return None;
                }
                if let Some(at) = tasks.iter().position(|task| !paused.contains(&task.table)) {
                    return tasks.remove(at);
                }
            }
            // The sender is ours: it cannot be gone.
            changes.changed().await.ok()?;
        }
    }

    /// Has these tables wait, and no others. True if it was otherwise.
    pub(super) fn pause(&self, tables: HashSet<usize>) -> bool {
        self.paused.send_if_modified(|paused| {
            let changes = *paused != tables;
            *paused = tables;
            changes
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn task(table: usize, first: u64) -> Task {
        Task { table, part: 0, first, end: None, bytes: 1 }
    }

    #[tokio::test]
    async fn a_paused_table_waits_and_the_others_do_not() {
        let queue = Queue::new(vec![task(0, 0), task(0, 1), task(1, 0)]);
        assert!(queue.pause(HashSet::from([0])) && !queue.pause(HashSet::from([0])));
        assert_eq!(queue.next().await, Some(task(1, 0)));
        assert!(tokio::time::timeout(Duration::from_millis(20), queue.next()).await.is_err());
        let (next, ()) = tokio::join!(queue.next(), async {
            tokio::task::yield_now().await;
            queue.pause(HashSet::new());
        });
        assert_eq!((next, queue.len()), (Some(task(0, 0)), 1));
        assert_eq!((queue.next().await, queue.next().await), (Some(task(0, 1)), None));
    }
}
