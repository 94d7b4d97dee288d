//! Signals, and what the kernel says about a process.

use std::time::{Duration, Instant};

pub(crate) use rustix::process::Signal;

/// Sends a signal; a process that is gone already is no error.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        // ESRCH: it ended by itself, which is what was wanted.
        let _gone = rustix::process::kill_process(pid, signal);
    }
}

/// Whether the process runs (a zombie does not).
pub(crate) fn runs(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Waits until the process has ended; false when it still runs after `limit`.
pub(crate) fn ended_within(pid: i32, limit: Duration) -> bool {
    let start = Instant::now();
    while runs(pid) {
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The processes whose parent is `parent`.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&pid| stat(pid).is_some_and(|(_, of)| of == parent))
        .collect()
}

fn state(pid: i32) -> Option<char> {
    stat(pid).map(|(state, _)| state)
}

/// State and parent. The program's name before them stands in brackets and may itself hold brackets.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(") ")?;
    let mut fields = after.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
