//! The modifiers: injector, filters and transformers between the listener and the sink.
//!
//! [`Chain::load`] loads plugins and checks rules, [`Chain::bind`] binds them to the source's tables, [`run()`] passes
//! batches through on a thread of its own. Everything that can be wrong is refused before the first row; what goes
//! wrong later is isolated down to the row, and `on_error` decides about that row alone.
//!
//! Order: the injector finds identities and versions, filters decide which rows go on, transformers change values.
//! Versions are computed from the source's values, identities from the values as they leave, so that a computed
//! identity cannot tell what a transformer hid.

mod chain;
mod counters;
mod demands;
mod digest;
mod error;
mod facts;
mod filter;
mod inject;
mod isolate;
mod loaded;
mod nearest;
mod options;
mod parameters;
mod problem;
mod report;
mod rules;
mod run;
mod site;
pub mod standard;
mod table;
mod transform;

pub use chain::{Chain, Gone, Route};
pub use counters::{Counters, Failures, PluginCounters};
pub use error::{Error, FailedRow};
pub use options::{
    ColumnRule, Filter, Injector, OnError, Options, PluginOptions, TableMode, TableRule, Transformations,
    ValidationMode,
};
pub use problem::Problem;
pub use report::{PluginReport, Report, TableFate, TableReport};
pub use run::run;
