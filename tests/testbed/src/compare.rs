//! Compares a table on two servers row by row, in text and in the binary form that each type's `send` function gives.
//!
//! Text and binary both, since each hides what the other shows: text rounds nothing away but prints two different
//! values alike where a type's output says less than its value; binary holds object ids of user-defined types, which
//! differ between servers, so those are taken apart first.

use std::collections::BTreeMap;

use tokio_postgres::Client;

use crate::postgres::rows;
use crate::{Error, Result};

/// How a column's text on the target follows from the whole row on the source.
pub type Expected = Box<dyn Fn(&Row) -> Option<String> + Send + Sync>;

/// One row as text by column name.
pub type Row = BTreeMap<String, Option<String>>;

/// A table to compare, and what is expected to differ.
pub struct Table {
    name: String,
    key: Vec<String>,
    without: Vec<String>,
    masked: BTreeMap<String, Expected>,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The table as it was named.
    pub table: String,
    /// Rows on the source.
    pub source_rows: usize,
    /// Rows on the target.
    pub target_rows: usize,
    /// The first differences, one line each, with the values: the data of tests are nobody's secret.
    pub differences: Vec<String>,
    /// How many differences there are in all.
    pub different: usize,
}

impl Report {
    /// Whether both sides have the same rows.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { table, source_rows, target_rows, different, .. } = self;
        write!(to, "{table}: {source_rows} rows, on the target {target_rows}, {different} different")?;
        self.differences.iter().try_for_each(|line| write!(to, "\n  {line}"))
    }
}

const SHOWN: usize = 10;

impl Table {
    /// A table named as in SQL (`public.item`, `"my schema"."my table"`). Rows are matched whole, so a table needs no
    /// key to be compared.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: Vec::new(), without: Vec::new(), masked: BTreeMap::new() }
    }

    /// Rows with the same key are shown as one difference, column by column. Key columns must not be masked.
    #[must_use]
    pub fn key(mut self, columns: &[&str]) -> Self {
        self.key = columns.iter().map(|&column| column.to_owned()).collect();
        self
    }

    /// Leaves a column out.
    #[must_use]
    pub fn without(mut self, column: &str) -> Self {
        self.without.push(column.to_owned());
        self
    }

    /// The column's text on the target must be what `expected` makes of the source's row.
    #[must_use]
    pub fn masked(
        mut self,
        column: &str,
        expected: impl Fn(&Row) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.masked.insert(column.to_owned(), Box::new(expected));
        self
    }

    /// Reads the table from both sides and compares.
    ///
    /// # Errors
    ///
    /// [`Error::Sql`] when it cannot be read, [`Error::Compare`] when it has no column in common.
    pub async fn compare(&self, source: &Client, target: &Client) -> Result<Report> {
        let source_columns = self.columns(source).await?;
        let target_columns = self.columns(target).await?;
        let mut differences = Vec::new();
        for name in source_columns.keys().filter(|name| !target_columns.contains_key(*name)) {
            differences.push(format!("column {name} is not on the target"));
        }
        let shared: Vec<&str> = source_columns
            .keys()
            .filter(|name| target_columns.contains_key(*name))
            .map(String::as_str)
            .collect();
        if shared.is_empty() {
            return Err(Error::Compare {
                table: self.name.clone(),
                reason: "no column in common".to_owned(),
            });
        }

        let mut source_rows = self.read(source, &shared, &source_columns).await?;
        let mut target_rows = self.read(target, &shared, &target_columns).await?;
        let counts = (source_rows.len(), target_rows.len());
        for row in &mut source_rows {
            self.mask(row);
        }
        source_rows.sort();
        target_rows.sort();
        let (only_source, only_target) = leftovers(source_rows, target_rows);
        differences.extend(self.describe(&only_source, &only_target));
        let different = differences.len();
        differences.truncate(SHOWN);
        Ok(Report {
            table: self.name.clone(),
            source_rows: counts.0,
            target_rows: counts.1,
            differences,
            different,
        })
    }

    /// The columns by name, each with the expression that gives its binary form, if it has a comparable one.
    async fn columns(&self, client: &Client) -> Result<BTreeMap<String, Option<String>>> {
        let literal = self.name.replace('\'', "''");
        let found = rows(
            client,
            &format!(
                "SELECT attname, atttypid::oid FROM pg_attribute \
                 WHERE attrelid = '{literal}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
            ),
        )
        .await?;
        let mut columns = BTreeMap::new();
        for row in found {
            let [Some(name), Some(oid)] = row.as_slice() else { continue };
            if self.without.contains(name) {
                continue;
            }
            let binary = if self.masked.contains_key(name) {
                None
            } else {
                binary_form(client, oid, &quoted(name)).await?
            };
            columns.insert(name.clone(), binary);
        }
        Ok(columns)
    }

    async fn read(
        &self,
        client: &Client,
        shared: &[&str],
        binary: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<Row>> {
        client.batch_execute(PINNED).await.map_err(Error::sql(PINNED))?;
        let mut names = Vec::new();
        let mut expressions = Vec::new();
        for &name in shared {
            names.push(name.to_owned());
            expressions.push(format!("{}::text", quoted(name)));
            if let Some(Some(expression)) = binary.get(name) {
                names.push(format!("{name} (binary)"));
                expressions.push(expression.clone());
            }
        }
        let query = format!("SELECT {} FROM {}", expressions.join(", "), self.name);
        let found = rows(client, &query).await?;
        Ok(found.into_iter().map(|row| names.iter().cloned().zip(row).collect()).collect())
    }

    fn mask(&self, row: &mut Row) {
        let made: Vec<_> = self.masked.iter().map(|(column, expected)| (column, expected(row))).collect();
        for (column, value) in made {
            if let Some(cell) = row.get_mut(column) {
                *cell = value;
            }
        }
    }

    fn describe(&self, only_source: &[Row], only_target: &[Row]) -> Vec<String> {
        let key = |row: &Row| -> Vec<Option<String>> {
            self.key.iter().map(|column| row.get(column).cloned().flatten()).collect()
        };
        let mut lines = Vec::new();
        let mut matched = vec![false; only_target.len()];
        for row in only_source {
            let twin = only_target
                .iter()
                .zip(&mut matched)
                .find(|(other, taken)| !self.key.is_empty() && !**taken && key(other) == key(row));
            match twin {
                Some((other, taken)) => {
                    *taken = true;
                    lines.push(format!("differs: {}: {}", shown(row, &self.key), cells(row, other)));
                }
                None => lines.push(format!("only expected: {}", all(row))),
            }
        }
        let extra = only_target.iter().zip(matched).filter(|(_, taken)| !taken);
        lines.extend(extra.map(|(row, _)| format!("only on the target: {}", all(row))));
        lines
    }
}

/// The settings under which one value has one text, whatever the server's own are.
const PINNED: &str = "SET DateStyle = 'ISO, MDY'; SET IntervalStyle = postgres; SET TimeZone = 'UTC'; \
                      SET bytea_output = hex; SET extra_float_digits = 1; SET client_encoding = 'UTF8'";

/// What is in one sorted list only, each side's.
fn leftovers(source: Vec<Row>, target: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    let (mut only_source, mut only_target) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (source.into_iter().peekable(), target.into_iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return (only_source, only_target),
            (Some(one), Some(other)) if one == other => {
                left.next();
                right.next();
            }
            (Some(one), Some(other)) if one < other => only_source.extend(left.next()),
            (Some(_), None) => only_source.extend(left.next()),
            (_, Some(_)) => only_target.extend(right.next()),
        }
    }
}

/// The SQL for a value's binary form as hex text. `None` for types whose binary form names object ids of their own
/// server in a depth that SQL cannot take apart (rows of rows, arrays of rows): their text alone is compared.
async fn binary_form(client: &Client, oid: &str, value: &str) -> Result<Option<String>> {
    let about = rows(
        client,
        &format!(
            "SELECT CASE WHEN t.typsend = 0 THEN NULL ELSE t.typsend::regproc::text END, t.typtype, t.typcategory, \
             coalesce(e.oid, 0), coalesce(e.typtype, '-'), \
             CASE WHEN coalesce(e.typsend, 0) = 0 THEN NULL ELSE e.typsend::regproc::text END, \
             CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE 0 END \
             FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typsubscript::text LIKE '%array_subscript%' \
             WHERE t.oid = {oid}"
        ),
    )
    .await?;
    let Some([send, Some(kind), _, Some(element), Some(element_kind), element_send, Some(base)]) =
        about.first().and_then(|row| <&[Option<String>; 7]>::try_from(row.as_slice()).ok())
    else {
        return Ok(None);
    };
    if base != "0" {
        return Box::pin(binary_form(client, base, value)).await;
    }
    let Some(send) = send else { return Ok(None) };
    if kind == "c" {
        return Ok(None);
    }
    let built_in = |oid: &str| oid.parse::<u32>().is_ok_and(|oid| oid < 16_384);
    if element == "0" || built_in(element) {
        return Ok(Some(format!("encode({send}({value}), 'hex')")));
    }
    match element_send {
        // The array's header holds the id of the element's type: compare its bounds and its elements.
        Some(element_send) if element_kind != "c" && element_kind != "d" => Ok(Some(format!(
            "array_dims({value}) || ARRAY(SELECT encode({element_send}(e), 'hex') FROM unnest({value}) AS e)::text"
        ))),
        _ => Ok(None),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn cell(value: Option<&String>) -> String {
    value.map_or_else(|| "NULL".to_owned(), |text| format!("{text:?}"))
}

fn shown(row: &Row, columns: &[String]) -> String {
    let parts = columns.iter().map(|name| format!("{name}={}", cell(row.get(name).and_then(Option::as_ref))));
    parts.collect::<Vec<_>>().join(" ")
}

fn all(row: &Row) -> String {
    let columns: Vec<String> = row.keys().filter(|name| !name.ends_with(" (binary)")).cloned().collect();
    shown(row, &columns)
}

fn cells(one: &Row, other: &Row) -> String {
    let differing = one.iter().filter(|(name, value)| other.get(*name) != Some(value));
    let parts = differing.map(|(name, value)| {
        let there = other.get(name).and_then(Option::as_ref);
        format!("{name} should be {}, is {}", cell(value.as_ref()), cell(there))
    });
    parts.collect::<Vec<_>>().join("; ")
}

impl std::fmt::Debug for Table {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Table").field("name", &self.name).field("masked", &self.masked.keys()).finish()
    }
}
