//! What a plugin may use.

use std::time::Duration;

/// Limits of one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, in bytes.
    pub memory: usize,
    /// One data call.
    pub call: Duration,
    /// `describe`, start-up and `bind`.
    pub bind: Duration,
    /// What one call may give back whatever it was given, in bytes; twice the input comes on top.
    pub output: usize,
    /// Crashes in `incident_window` after which the plugin is given up. One bad row is one incident, however
    /// many calls it took to find it. 0: never.
    pub incidents: usize,
    /// See `incidents`.
    pub incident_window: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            call: Duration::from_secs(1),
            bind: Duration::from_secs(5),
            output: 16 << 20,
            incidents: 5,
            incident_window: Duration::from_secs(600),
        }
    }
}

/// The largest component that is loaded, in bytes.
pub const MAX_COMPONENT: u64 = 64 << 20;
