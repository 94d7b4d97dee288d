//! The whole program against real servers.

mod kill;
mod operations;
mod plugins;
mod shutdown;
mod types;
mod values;
