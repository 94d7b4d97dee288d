//! The Postgres batch writer: each source transaction once, whole or not at all.
//!
//! From the stream to the target: [`Writer`] takes units of batches and cuts them where transactions end (`work`),
//! finds what the tables look like over there (`catalog`, `table`), folds the changes to few statements (`fold`,
//! `plan`), spells them (`statement`, `encode`), runs them in one target transaction together with the progress row
//! (`run`, `progress`), and goes row by row where a statement fails (`apply`).

mod anew;
mod apply;
mod binary;
mod catalog;
pub mod copy;
mod counters;
mod define;
mod encode;
mod error;
mod fold;
mod foresee;
mod masked;
mod narrower;
mod plan;
mod progress;
pub mod restore;
mod rows;
mod run;
mod statement;
mod table;
mod using;
mod work;
mod writer;

pub use anew::Rewriting;
pub use counters::Summary;
pub use define::{Ddl, Destructive, Fate};
pub use error::{Error, Problem};
pub use foresee::{Foreseen, foresee};
pub use progress::{Destroyed, Progress, destroy, status};
pub use writer::{OnConflict, Options, Writer};
