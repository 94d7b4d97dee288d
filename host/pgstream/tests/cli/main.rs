//! The built binary as a user meets it: what it prints, and the code that it ends with.

// What a test calls may stop at the first surprise, as the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admin;
mod plugins;
mod refusals;
mod running;
mod tool;
mod usage;
