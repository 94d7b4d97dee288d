//! Places where a test has the process die at once, as by SIGKILL: one before and one after each step that leaves
//! something behind on a server.
//!
//! `FAILPOINTS="committed=5*off->return"` lets the place `committed` be passed five times and ends the process at the
//! sixth. Without the feature `places`, which only the tests turn on, a place is no code at all.

#[doc(hidden)]
pub use fail;

/// A place of this name.
#[macro_export]
macro_rules! here {
    ($name:literal) => {
        $crate::fail::fail_point!($name, |_| std::process::abort())
    };
}

/// Reads `FAILPOINTS`; for the start of the program.
pub fn read_environment() {
    if fail::has_failpoints() {
        // Its end would clear the places again.
        std::mem::forget(fail::FailScenario::setup());
    }
}
