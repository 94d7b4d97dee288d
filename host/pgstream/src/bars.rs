//! Progress bars on a terminal, and log lines that do not run into them.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// All bars of the process: they share the terminal with each other and with the log.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
/// Somebody looks at them.
static SHOWN: AtomicBool = AtomicBool::new(false);

/// Says whether somebody looks: stderr is a terminal, and lines are for people.
pub(crate) fn show(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

/// Whether bars are drawn.
pub(crate) fn are_shown() -> bool {
    SHOWN.load(Ordering::Relaxed)
}

/// A bar for something that is measured in bytes; none where nobody looks.
pub(crate) fn of_bytes(name: &str, total: u64) -> Option<ProgressBar> {
    // 79 columns: name, bar, share, rows, speed, time left.
    add(name, total, "{prefix:22!} {bar:16} {percent:>3}% {msg:>13} {binary_bytes_per_sec:>14} {eta:>5}")
}

/// A bar for something that is counted.
pub(crate) fn of_things(name: &str, total: u64) -> Option<ProgressBar> {
    add(name, total, "{prefix:38!} {bar:16} {percent:>3}% {pos:>7}/{len} {eta:>5}")
}

fn add(name: &str, total: u64, template: &str) -> Option<ProgressBar> {
    if !are_shown() {
        return None;
    }
    let bar = BARS.add(ProgressBar::new(total));
    // A template that is wrong shows nothing worse than the default.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(name.to_owned());
    Some(bar)
}

/// Stderr, with the bars out of the way for as long as a line is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if are_shown() { BARS.suspend(|| io::stderr().write(line)) } else { io::stderr().write(line) }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
