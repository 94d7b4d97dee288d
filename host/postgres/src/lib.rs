//! One way to talk SQL to a Postgres server: addresses, TLS, pinned sessions, classes of errors, quoting.
//!
//! Not a stage: listeners, sinks and commands all open their connections here, so that a value has the same
//! text form wherever it is read.

pub mod archive;
mod connect;
mod copy;
mod drowsy;
mod error;
mod programs;
mod quote;
mod replication;
mod roles;
mod tls;
mod url;
mod wire;

pub use connect::{Client, PINNED, connect, options_with};
pub use copy::CopyOut;
pub use error::{Class, DISK_FULL, Error, class_of, describe};
pub use programs::{DumpError, DumpOptions, PgDump};
pub use quote::{ident, literal, table};
pub use replication::{Message, Replication};
pub use roles::{Role, create_roles, read_roles};
pub use url::{SslMode, Url, UrlError};
pub use wire::Failure;
