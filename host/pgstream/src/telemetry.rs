//! Logs: `tracing` on stderr, for people or as JSON.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::bars;
use crate::config::Section;

/// How logs look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    #[default]
    Console,
    /// One JSON object a line.
    Json,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logging {
    /// What is worth a line.
    pub level: LevelFilter,
    /// How lines look.
    pub format: Format,
    /// No colour even on a terminal.
    pub no_color: bool,
}

impl Default for Logging {
    fn default() -> Self {
        // The original's level is debug, which says more than anybody reads.
        Self { level: LevelFilter::INFO, format: Format::Console, no_color: false }
    }
}

/// The original's words; what only Go's logger tells apart is an error here.
pub(crate) const LEVELS: &[(&str, LevelFilter)] = &[
    ("trace", LevelFilter::TRACE),
    ("debug", LevelFilter::DEBUG),
    ("info", LevelFilter::INFO),
    ("warn", LevelFilter::WARN),
    ("error", LevelFilter::ERROR),
    ("fatal", LevelFilter::ERROR),
    ("panic", LevelFilter::ERROR),
];

/// Words for the format.
pub(crate) const FORMATS: &[(&str, Format)] = &[("console", Format::Console), ("json", Format::Json)];

/// Ours; everybody else's crates speak only when something is wrong, unless `trace` is asked for.
const OURS: &[&str] =
    &["pgstream", "listen", "modify", "plugin", "buffer", "sink", "checkpoint", "postgres", "event"];

impl Logging {
    /// Reads the section `logging`.
    pub(crate) fn read(root: &mut Section<'_>) -> Self {
        root.section("logging", |logging| {
            let default = Self::default();
            let level = logging.choice("level", LEVELS).unwrap_or(default.level);
            let (format, no_color) = logging.section("format", |format| {
                let kind = format.choice("type", FORMATS).unwrap_or(default.format);
                (kind, format.flag("no_color").unwrap_or(default.no_color))
            });
            Self { level, format, no_color }
        })
    }

    /// Whether stderr gets colour.
    #[must_use]
    pub fn colored(&self) -> bool {
        let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.format == Format::Console && !self.no_color && !asked_not_to && std::io::stderr().is_terminal()
    }

    /// Starts logging; a second call changes nothing.
    pub fn start(&self) {
        let others = if self.level == LevelFilter::TRACE { LevelFilter::DEBUG } else { LevelFilter::WARN };
        let mut filter = others.min(self.level).to_string();
        for name in OURS {
            filter.push_str(&format!(",{name}={}", self.level));
        }
        bars::show(self.format == Format::Console && std::io::stderr().is_terminal());
        let builder = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(bars::Stderr)
            .with_span_events(FmtSpan::NONE)
            .with_ansi(self.colored());
        // A second logger in one process, as in tests, is no reason to stop.
        let _started = match self.format {
            Format::Console => builder.with_target(false).try_init(),
            Format::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        };
    }
}
