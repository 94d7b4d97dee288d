//! Statements on a source, their entries in the schema log, and the statements of these on a target: both must be alike
//! after each, by their documents and by `pg_dump`.

// What a test calls may stop at the first surprise, as the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alter;
mod capture;
mod dump;
mod effort;
mod forms;
mod others;
mod pair;
mod privileges;
mod pruned;
mod random;
mod rewritten;
