//! A version of a schema, as it travels with the rows.

/// A row of `pgstream.schema_log`, in its place in the stream: what comes after it relies on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaEntry {
    /// Its identifier.
    pub id: String,
    /// Its version; those of one schema only grow.
    pub version: u64,
    /// The schema.
    pub schema: String,
    /// What the statement was (`ALTER TABLE`).
    pub command_tag: String,
    /// The text that the client sent, which may hold more than the statement, and values.
    pub statement: Option<String>,
    /// A statement that changes several schemas has several rows: this is row `part`
    pub part: u32,
    /// of so many.
    pub parts: u32,
    /// What changed: JSON, as the source wrote it.
    pub changes: String,
    /// The source could not describe the change: the SQLSTATE of its try.
    pub failed: Option<String>,
    /// Oids of tables that are not replicated: what happens to them is nobody's business.
    pub left_out: Vec<u32>,
    /// Names of columns that rules write: what a statement gives to them is not what a target has.
    pub masked: Vec<String>,
}

impl SchemaEntry {
    /// Memory that it holds on to, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.changes.len() + self.statement.as_ref().map_or(0, String::len) + 256
    }
}
