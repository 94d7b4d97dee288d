//! Starts real Postgres servers for tests, demo and benchmarks, drives them, and compares what is in them.
//!
//! ```no_run
//! # async fn story() -> Result<(), testbed::Error> {
//! let source = testbed::Postgres::start(testbed::Options::major(17))?;
//! source.create_database("shop").await?;
//! source.sql("shop", "CREATE TABLE item (id bigint PRIMARY KEY, name text)").await?;
//! println!("{}", source.url("shop"));
//! # Ok(()) }
//! ```
//!
//! A server listens on 127.0.0.1 with a free port, keeps its data in a folder of its own, and is stopped and removed
//! when it is dropped, or when the process that started it dies, be it by SIGKILL. So tests may run in parallel, each
//! in a process of its own.

mod account;
mod binaries;
pub mod compare;
mod disk;
mod download;
mod error;
mod folder;
mod guard;
pub mod ledger;
mod options;
mod pgstream;
mod postgres;
mod process;
mod proxy;
mod random;
mod template;
pub mod tpcb;
mod wait;

pub use binaries::{Installation, client_programs, find as find_installation, newest_installed};
pub use disk::can_mount;
pub use error::Error;
pub use options::{Auth, Options};
pub use pgstream::{Finished, Pgstream};
pub use postgres::{Postgres, Stop, connect};
pub use proxy::{Network, Proxy};
pub use random::Random;
pub use wait::{eventually, eventually_within};

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// The major versions that tests run against: `PGSTREAM_TEST_MAJORS` ("15 17" when it is not set).
pub fn majors() -> Vec<u16> {
    let listed = std::env::var("PGSTREAM_TEST_MAJORS").unwrap_or_default();
    let majors: Vec<u16> = listed.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    if majors.is_empty() { vec![15, 17] } else { majors }
}
