//! The Postgres sink against a real server: batches built by hand, applied, compared.

mod conflicts;
mod equal;
mod errors;
mod keys;
mod place;
mod transactions;
mod types;
