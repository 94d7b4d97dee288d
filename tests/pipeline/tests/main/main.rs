//! The whole program against real servers.

mod changes;
mod disk;
mod existing;
mod faults;
mod hostile;
mod large;
mod operations;
mod pausing;
mod plan;
mod plugins;
mod positions;
mod printing;
mod rewriting;
mod schema;
mod schema_copy;
mod shutdown;
mod snapshot;
mod standby;
mod tables;
mod types;
mod values;
