//! The binary's parts: command line, configuration, logs, errors, and the pipeline that joins the stages.

mod bars;
pub mod cli;
pub mod config;
pub mod failure;
mod flow;
pub mod pipeline;
mod print;
pub mod report;
pub mod shutdown;
mod snapshot;
pub mod telemetry;
