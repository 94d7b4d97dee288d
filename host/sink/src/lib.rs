//! Sinks: what applies batches to a target and says what is durable there.
//!
//! A sink takes the end of the stream, applies it in order, and alone moves the confirmed position.

pub mod postgres;
pub mod stdout;
