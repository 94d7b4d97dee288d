//! The Postgres listener against real servers.

mod admin;
mod bed;
mod changes;
mod ending;
mod refusals;
mod tables;
