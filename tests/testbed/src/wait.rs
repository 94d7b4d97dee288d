//! Polls until something is true, with a limit and a message that says what was waited for.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Asks `probe` every few milliseconds until it answers `true`, 30 seconds at most.
///
/// # Errors
///
/// [`Error::TimedOut`] with `what` when it did not.
pub async fn eventually<F>(what: &str, probe: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    eventually_within(Duration::from_secs(30), what, probe).await
}

/// As [`eventually`], with a limit of one's own.
///
/// # Errors
///
/// [`Error::TimedOut`] with `what` when it did not.
pub async fn eventually_within<F>(limit: Duration, what: &str, mut probe: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = bool>,
{
    let start = Instant::now();
    let mut pause = Duration::from_millis(10);
    while !probe().await {
        if start.elapsed() > limit {
            return Err(Error::TimedOut {
                what: what.to_owned(),
                seconds: limit.as_secs(),
                detail: String::new(),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
    Ok(())
}
