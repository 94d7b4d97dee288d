//! What a plugin says: `host.log`, stdout and stderr as log lines, cut and limited in number.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::words::one_line;

/// The longest line, in bytes.
const LINE: usize = 4096;

/// Lines a second; what is more is counted.
const LINES: u32 = 100;

/// A level of `host.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The log of one plugin.
///
/// During a data call its words are withheld at every level: it has values in hand, and nobody can promise that it does
/// not print one. At start-up and in `bind` its words are logged, at its level.
#[derive(Clone)]
pub(crate) struct Log {
    plugin: Arc<str>,
    data: Arc<AtomicBool>,
    rate: Arc<Mutex<Rate>>,
}

struct Rate {
    since: Instant,
    lines: u32,
    skipped: u64,
}

impl Log {
    pub(super) fn new(plugin: Arc<str>) -> Self {
        let rate = Rate { since: Instant::now(), lines: 0, skipped: 0 };
        Self { plugin, data: Arc::default(), rate: Arc::new(Mutex::new(rate)) }
    }

    pub(super) fn during_data(&self, data: bool) {
        self.data.store(data, Ordering::Relaxed);
    }

    pub(super) fn stream(&self, name: &'static str) -> Stream {
        Stream { log: self.clone(), name, line: Arc::default() }
    }

    /// A line of `host.log`.
    pub(crate) fn line(&self, level: Level, text: &str) {
        if !self.admit() {
            return;
        }
        if self.withheld(text.len()) {
            return;
        }
        let (plugin, text) = (self.plugin.as_ref(), one_line(text, LINE));
        match level {
            Level::Trace => tracing::trace!(plugin, "{text}"),
            Level::Debug => tracing::debug!(plugin, "{text}"),
            Level::Info => tracing::info!(plugin, "{text}"),
            Level::Warn => tracing::warn!(plugin, "{text}"),
            Level::Error => tracing::error!(plugin, "{text}"),
        }
    }

    fn stream_line(&self, stream: &'static str, bytes: &[u8]) {
        if self.admit() && !self.withheld(bytes.len()) {
            let text = one_line(&String::from_utf8_lossy(bytes), LINE);
            tracing::debug!(plugin = self.plugin.as_ref(), stream, "{text}");
        }
    }

    /// That something was said is logged, not what.
    fn withheld(&self, bytes: usize) -> bool {
        let data = self.data.load(Ordering::Relaxed);
        if data {
            tracing::debug!(plugin = self.plugin.as_ref(), bytes, "what the plugin says of rows is withheld");
        }
        data
    }

    fn admit(&self) -> bool {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if rate.since.elapsed() >= Duration::from_secs(1) {
            if rate.skipped > 0 {
                let skipped = rate.skipped;
                tracing::debug!(
                    plugin = self.plugin.as_ref(),
                    skipped,
                    "log lines of the plugin were left out"
                );
            }
            *rate = Rate { since: Instant::now(), lines: 0, skipped: 0 };
        }
        if rate.lines >= LINES {
            rate.skipped += 1;
            return false;
        }
        rate.lines += 1;
        true
    }
}

/// stdout or stderr of a plugin.
#[derive(Clone)]
pub(super) struct Stream {
    log: Log,
    name: &'static str,
    /// What came since the last line break. All streams of one name share it.
    line: Arc<Mutex<Vec<u8>>>,
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in bytes {
            if byte != b'\n' && line.len() < LINE {
                line.push(byte);
                continue;
            }
            self.log.stream_line(self.name, &line);
            line.clear();
            if byte != b'\n' {
                line.push(byte);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_after_its_share() {
        let log = Log::new("p".into());
        let admitted = (0..1000).filter(|_| log.admit()).count();
        assert_eq!(admitted, LINES as usize);
    }
}
