//! Signals: the first one asks for a drain, the second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Says when to stop. Clones share one request.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    token: CancellationToken,
}

impl Stop {
    /// A request that SIGTERM, SIGINT or SIGQUIT makes. Another signal after that ends the process with
    /// 128 + its number: what was not confirmed is read again by the next run.
    ///
    /// # Errors
    /// The system gives no signal handler, or no async runtime is running.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        let signals = Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        };
        tokio::spawn(watch(signals, stop.token.clone()));
        Ok(stop)
    }

    /// Asks for a stop.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until a stop is asked for.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// A token for a stage: cancelled with this request.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.child_token()
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    /// The number and name of the next one.
    async fn next(&mut self) -> (i32, &'static str) {
        tokio::select! {
            _ = self.terminate.recv() => (15, "SIGTERM"),
            _ = self.interrupt.recv() => (2, "SIGINT"),
            _ = self.quit.recv() => (3, "SIGQUIT"),
        }
    }
}

async fn watch(mut signals: Signals, token: CancellationToken) {
    let (_, name) = signals.next().await;
    tracing::info!("{name}: finishing what was read; a second signal stops at once");
    token.cancel();
    let (number, name) = signals.next().await;
    tracing::warn!("{name}: stopping at once; what was not confirmed is read again next time");
    std::process::exit(128 + number);
}
