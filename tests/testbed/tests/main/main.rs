//! What the testbed promises to those who build on it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests, and helpers of tests, may stop at the first surprise"
)]

mod comparing;
mod demo;
mod layers;
mod ledger;
mod servers;
