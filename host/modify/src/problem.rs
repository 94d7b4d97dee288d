//! One thing that is wrong with plugins or rules, found before a row flows.

use plugin::{LoadError, ParameterKind};

/// One thing that is wrong with plugins or rules.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Problem {
    /// A component cannot be loaded.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Load(#[from] LoadError),
    /// Two plugins go by one name.
    #[error("two plugins are called `{name}`")]
    #[diagnostic(code(modify::plugin_name), help("give one of them another `name` under `plugins`"))]
    PluginName {
        /// The name.
        name: String,
    },
    /// More than one injector.
    #[error("both `{first}` and `{second}` are injectors, and there is one identity for a row")]
    #[diagnostic(code(modify::two_injectors), help("remove one of them"))]
    TwoInjectors {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// Settings, tables or an offer for a transformer.
    #[error("plugin `{plugin}` is a transformer: `{key}` does not apply to it")]
    #[diagnostic(
        code(modify::transformer_settings),
        help("name its offers in `modifiers.transformations` and give the parameters there")
    )]
    TransformerSettings {
        /// Name of the plugin.
        plugin: String,
        /// The key.
        key: &'static str,
    },
    /// A plugin has no such offer, or several and none is named.
    #[error("plugin `{plugin}`: {reason}")]
    #[diagnostic(code(modify::offer), help("it offers: {offers}"))]
    Offer {
        /// Name of the plugin.
        plugin: String,
        /// What is wrong.
        reason: String,
        /// What there is.
        offers: String,
    },
    /// A table pattern that is none.
    #[error("plugin `{plugin}`: `{pattern}` is not a pattern for tables")]
    #[diagnostic(
        code(modify::table_pattern),
        help("write `table`, `schema.table`, `schema.*` or `*`; quote names as in SQL")
    )]
    TablePattern {
        /// Name of the plugin.
        plugin: String,
        /// As written.
        pattern: String,
    },
    /// A table with rules has got another name.
    #[error("table {was} has rules, and is called {table} now: its values would go on as they are")]
    #[diagnostic(
        code(modify::renamed_table),
        help(
            "name the table {table} under `modifiers.transformations`, then run with --accept-changed-modifiers"
        )
    )]
    RenamedTable {
        /// What the rules call it.
        was: String,
        /// What it is called now.
        table: String,
    },
    /// A row of the schema log is not what our functions write.
    #[error(transparent)]
    #[diagnostic(
        code(modify::unreadable_schema),
        help(
            "the log was written by a newer version of pgstream, or by hand: use that version, or the row as `init` made it"
        )
    )]
    UnreadableSchema(#[from] schema::Unreadable),
    /// No plugin offers this transformer.
    #[error("{place}: there is no transformer `{name}`")]
    #[diagnostic(code(modify::unknown_transformer), help("{hint}"))]
    UnknownTransformer {
        /// Table and column of the rule.
        place: String,
        /// As written.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// Several plugins offer it.
    #[error("{place}: more than one plugin offers `{name}`")]
    #[diagnostic(code(modify::ambiguous_transformer), help("write one of {candidates}"))]
    AmbiguousTransformer {
        /// Table and column of the rule.
        place: String,
        /// As written.
        name: String,
        /// Full names.
        candidates: String,
    },
    /// The offer has no such parameter.
    #[error("{place}: `{offer}` has no parameter `{name}`")]
    #[diagnostic(code(modify::unknown_parameter), help("{hint}"))]
    UnknownParameter {
        /// Table and column of the rule, or the plugin.
        place: String,
        /// The offer.
        offer: String,
        /// As written.
        name: String,
        /// The nearest name, or all.
        hint: String,
    },
    /// A value of another kind.
    #[error("{place}: the parameter `{name}` of `{offer}` takes {kind}, not {got}")]
    #[diagnostic(
        code(modify::parameter_kind),
        help("values are not converted: quote a text, do not quote a number")
    )]
    ParameterKind {
        /// Table and column of the rule, or the plugin.
        place: String,
        /// The offer.
        offer: String,
        /// The parameter.
        name: String,
        /// What it takes.
        kind: ParameterKind,
        /// What was given.
        got: &'static str,
    },
    /// A value that is not among the allowed ones.
    #[error("{place}: the parameter `{name}` of `{offer}` does not allow this value")]
    #[diagnostic(code(modify::parameter_value), help("allowed are {allowed}"))]
    ParameterValue {
        /// Table and column of the rule, or the plugin.
        place: String,
        /// The offer.
        offer: String,
        /// The parameter.
        name: String,
        /// The allowed values.
        allowed: String,
    },
    /// A required parameter is not there.
    #[error("{place}: `{offer}` needs the parameter `{name}`")]
    #[diagnostic(code(modify::missing_parameter), help("{summary}"))]
    MissingParameter {
        /// Table and column of the rule, or the plugin.
        place: String,
        /// The offer.
        offer: String,
        /// The parameter.
        name: String,
        /// What it is for.
        summary: String,
    },
    /// A parameter that cannot be read from a column.
    #[error("{place}: the parameter `{name}` of `{offer}` cannot be read from a column")]
    #[diagnostic(code(modify::not_dynamic), help("give it under `parameters`"))]
    NotDynamic {
        /// Table and column of the rule.
        place: String,
        /// The offer.
        offer: String,
        /// The parameter.
        name: String,
    },
    /// Two rules for one column.
    #[error("{place}: there are two rules for this column")]
    #[diagnostic(code(modify::two_rules), help("keep one of them"))]
    TwoRules {
        /// Table and column.
        place: String,
    },
    /// Two rules write one column.
    #[error("{place}: the rule also writes `{column}`, which the rule of `{other}` writes")]
    #[diagnostic(code(modify::two_writers), help("keep one of the two rules"))]
    TwoWriters {
        /// Table and column of the rule.
        place: String,
        /// The column that both write.
        column: String,
        /// Column of the other rule.
        other: String,
    },
    /// A way of failing that is not built yet.
    #[error("`on_error: dead-letter` is not built yet")]
    #[diagnostic(code(modify::dead_letter), help("use `stop`, `null`, `drop` or `pass-through`"))]
    DeadLetter,
    /// `validation_mode` of a table where it has no meaning, or missing where it is needed.
    #[error("{table}: {reason}")]
    #[diagnostic(
        code(modify::table_mode),
        help(
            "a table has a `validation_mode` (strict or relaxed) where the whole has `table_level`, and nowhere else"
        )
    )]
    TableMode {
        /// The table.
        table: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A rule for a table that is not replicated.
    #[error("{table}: there are rules for this table, but it is not replicated")]
    #[diagnostic(code(modify::missing_table), help("{hint}"))]
    MissingTable {
        /// The table.
        table: String,
        /// The nearest name.
        hint: String,
    },
    /// A rule for a column that does not exist.
    #[error("{place}: there is no such column")]
    #[diagnostic(code(modify::missing_column), help("{hint}"))]
    MissingColumn {
        /// Table and column.
        place: String,
        /// The nearest name.
        hint: String,
    },
    /// A column that the target computes itself.
    #[error("{place}: the column is generated, so the target computes it from the others")]
    #[diagnostic(
        code(modify::generated_column),
        help("write the rule for the columns that it is computed from")
    )]
    GeneratedColumn {
        /// Table and column.
        place: String,
    },
    /// Distinct values would become equal in a unique column.
    #[error("{place}: `{offer}` makes distinct values equal, and the column is unique")]
    #[diagnostic(
        code(modify::uniqueness_loss),
        help("use a transformer that keeps values distinct, or set `allow_uniqueness_loss: true`")
    )]
    UniquenessLoss {
        /// Table and column.
        place: String,
        /// The offer.
        offer: String,
    },
    /// The offer takes no shape that the column's type has.
    #[error("{place}: `{offer}` does not take columns of type {type_name}")]
    #[diagnostic(code(modify::column_type), help("it takes {accepts}"))]
    ColumnType {
        /// Table and column.
        place: String,
        /// The offer.
        offer: String,
        /// The column's type.
        type_name: String,
        /// Shapes.
        accepts: String,
    },
    /// The plugin itself refuses the rule.
    #[error("{place}: plugin `{plugin}` refuses it: {reason}")]
    #[diagnostic(code(modify::refused), help("the reason is the plugin's own"))]
    Refused {
        /// Table and column, or the table.
        place: String,
        /// Name of the plugin.
        plugin: String,
        /// In the plugin's words.
        reason: String,
    },
    /// The plugin asks for something that cannot be.
    #[error("{place}: plugin `{plugin}` {reason}")]
    #[diagnostic(code(modify::plugin_defect), help("this is a defect of the plugin"))]
    PluginDefect {
        /// Table and column, or the table.
        place: String,
        /// Name of the plugin.
        plugin: String,
        /// What it does.
        reason: String,
    },
    /// The old row does not have what a rule reads.
    #[error("{place}: plugin `{plugin}` reads {columns}, which old rows of {table} do not have")]
    #[diagnostic(code(modify::old_row_incomplete), help("ALTER TABLE {table} REPLICA IDENTITY FULL"))]
    OldRowIncomplete {
        /// Table and column, or the table.
        place: String,
        /// Name of the plugin.
        plugin: String,
        /// The table, quoted where needed.
        table: String,
        /// The columns that are missing.
        columns: String,
    },
    /// A column without a rule where each must have one.
    #[error("{place}: the column has no rule, and the validation mode is strict")]
    #[diagnostic(
        code(modify::uncovered_column),
        help("write a rule for it; `name: noop` lets it through as it is, on purpose")
    )]
    UncoveredColumn {
        /// Table and column.
        place: String,
    },
    /// A table without rules where each must have some.
    #[error("{table}: the table has no rules, and the validation mode is strict")]
    #[diagnostic(code(modify::uncovered_table), help("write rules for it, or leave it out by the filter"))]
    UncoveredTable {
        /// The table.
        table: String,
    },
    /// A table without rules has changed or is new, under `table_level`.
    #[error("{table}: the table has no rules and {change}")]
    #[diagnostic(
        code(modify::unknown_table_changed),
        help(
            "with `validation_mode: table_level` write rules for it, with a mode of its own, and start again"
        )
    )]
    UnlistedTableChanged {
        /// The table.
        table: String,
        /// What changed.
        change: String,
    },
}
