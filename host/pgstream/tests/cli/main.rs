//! The built binary as a user meets it: what it prints, and the code that it ends with.

mod admin;
mod plugins;
mod refusals;
mod running;
mod tool;
mod usage;
