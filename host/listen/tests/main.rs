//! The Postgres listener against real servers.

// What a test calls may stop at the first surprise, as the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admin;
mod bed;
mod changes;
mod ending;
mod refusals;
mod tables;
