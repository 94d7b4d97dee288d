//! What the configuration asks of the modifiers, ready to use: no text is parsed after this.

use std::path::PathBuf;

use plugin::{CacheDirectory, Grant, Limits, RootKey};
use serde_json::{Map, Value};

/// Everything that the modifiers are told.
#[derive(Clone, Default)]
pub struct Options {
    /// The standard injector, unless a plugin takes its place.
    pub injector: Option<Injector>,
    /// The standard filter.
    pub filter: Option<Filter>,
    /// Rules for columns.
    pub transformations: Option<Transformations>,
    /// The user's plugins.
    pub plugins: Vec<PluginOptions>,
    /// Keys of rules are derived from it. Without one, rules get no key.
    pub root_key: Option<RootKey>,
    /// Seeds the random numbers of plugins: the same over restarts of one pipeline.
    pub secret: Vec<u8>,
    /// Where compiled plugins are kept.
    pub cache: CacheDirectory,
}

/// The secret is not printed.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("injector", &self.injector)
            .field("filter", &self.filter)
            .field("transformations", &self.transformations)
            .field("plugins", &self.plugins)
            .field("root_key", &self.root_key)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

/// `modifiers.injector`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injector {
    /// A column whose value grows with each change to a row; without it the commit's position is the version.
    pub version_column: Option<String>,
}

/// `modifiers.filter`: lists of tables, with wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// `include_tables`.
    pub include: Vec<String>,
    /// `exclude_tables`.
    pub exclude: Vec<String>,
    /// `schema_only_tables`.
    pub schema_only: Vec<String>,
}

/// `modifiers.transformations`.
#[derive(Clone, Debug, Default)]
pub struct Transformations {
    /// One a table.
    pub tables: Vec<TableRule>,
    /// Which columns must have a rule.
    pub validation_mode: ValidationMode,
    /// What becomes of a row that a rule cannot handle.
    pub on_error: OnError,
}

/// Which columns must have a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidationMode {
    /// None: what has no rule goes on as it is.
    #[default]
    Relaxed,
    /// Every column of every table that is replicated.
    Strict,
    /// Each table says so itself; a table without rules may not change.
    TableLevel,
}

/// `validation_mode` of one table, under [`ValidationMode::TableLevel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMode {
    /// Columns without a rule go on as they are.
    Relaxed,
    /// Every column must have a rule.
    Strict,
}

/// What becomes of a row that a rule cannot handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The pipeline stops (`fail` in the original).
    #[default]
    Stop,
    /// The value becomes NULL; where the column takes none, the pipeline stops.
    Null,
    /// The row is dropped and counted.
    Drop,
    /// The value goes on as it was: a leak, written out by the user (`pass-through` in the original).
    Pass,
    /// The row goes to the dead letters. Not built yet: refused by name.
    DeadLetter,
}

/// The rules of one table.
#[derive(Clone, Debug)]
pub struct TableRule {
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Needed under [`ValidationMode::TableLevel`], not allowed elsewhere.
    pub validation_mode: Option<TableMode>,
    /// Name of a column → its rule.
    pub columns: Vec<(String, ColumnRule)>,
}

/// The rule of one column. Its parameters are not printed: they may hold keys.
#[derive(Clone, Default)]
pub struct ColumnRule {
    /// Name of the transformer; empty or `noop`: the column is left alone on purpose.
    pub name: String,
    /// Its parameters.
    pub parameters: Map<String, Value>,
    /// Parameter → the column that its value is read from.
    pub dynamic_parameters: Vec<(String, String)>,
    /// Distinct values may become equal although the column is unique.
    pub allow_uniqueness_loss: bool,
    /// Consistency domain of the rule's key; `schema.table.column` without it.
    pub domain: Option<String>,
}

impl std::fmt::Debug for ColumnRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnRule")
            .field("name", &self.name)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("dynamic_parameters", &self.dynamic_parameters)
            .field("allow_uniqueness_loss", &self.allow_uniqueness_loss)
            .field("domain", &self.domain)
            .finish()
    }
}

impl ColumnRule {
    /// Whether the column is left alone on purpose.
    #[must_use]
    pub fn leaves_alone(&self) -> bool {
        self.name.is_empty() || self.name == "noop"
    }
}

/// One entry of `plugins`, or one `--plugin`.
#[derive(Clone)]
pub struct PluginOptions {
    /// The component.
    pub file: PathBuf,
    /// What to call it; its own name without one.
    pub name: Option<String>,
    /// Which offer of a filter or an injector; its only one without it.
    pub offer: Option<String>,
    /// Settings of a filter or an injector. Those of a transformer are in the rules.
    pub settings: Map<String, Value>,
    /// Tables that a filter or an injector is for; empty means all.
    pub tables: Vec<String>,
    /// Openings in its sandbox.
    pub grants: Vec<Grant>,
    /// What it may use.
    pub limits: Limits,
}

impl PluginOptions {
    /// A component with default settings, for all tables.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            name: None,
            offer: None,
            settings: Map::new(),
            tables: Vec::new(),
            grants: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Settings may hold keys: only their names are printed.
impl std::fmt::Debug for PluginOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginOptions")
            .field("file", &self.file)
            .field("name", &self.name)
            .field("offer", &self.offer)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("tables", &self.tables)
            .field("grants", &self.grants)
            .field("limits", &self.limits)
            .finish()
    }
}
