//! The Postgres sink against a real server: batches built by hand, applied, compared.

// What a test calls may stop at the first surprise, as the test itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod conflicts;
mod equal;
mod errors;
mod keys;
mod place;
mod transactions;
mod types;
