//! What the demo shows while it runs: one line that is written again and again on a terminal, a line now and then else.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Lines are no wider than this.
pub(crate) const WIDTH: usize = 80;

/// The progress line.
pub(crate) struct Progress {
    terminal: bool,
    shown: Option<Instant>,
    open: bool,
}

impl Progress {
    /// For standard output as it is.
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal(), shown: None, open: false }
    }

    /// Shows `text` in place of the line before.
    pub(crate) fn show(&mut self, text: &str) {
        let pause = if self.terminal { Duration::from_millis(100) } else { Duration::from_secs(3) };
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let text: String = text.chars().take(WIDTH - 1).collect();
        if self.terminal {
            print!("\r{text:<width$}", width = WIDTH - 1);
            self.open = true;
        } else {
            println!("{text}");
        }
        // A reader that has gone away misses progress only.
        let _gone = std::io::stdout().flush();
    }

    /// Ends the line that is being rewritten.
    pub(crate) fn end(&mut self) {
        if self.open {
            print!("\r{:<width$}\r", "", width = WIDTH - 1);
            let _gone = std::io::stdout().flush();
        }
        (self.open, self.shown) = (false, None);
    }
}

/// 1234567 as "1,234,567".
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in two or three digits.
pub(crate) fn short(duration: Duration) -> String {
    match duration.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let shown: Vec<String> = [0, 999, 1_000, 1_234_567].map(grouped).into();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }
}
