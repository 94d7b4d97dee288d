//! The SQL of every shape in which changes are applied, one text for each table version, shape and width.
//!
//! Values travel as text and go through the input function of the target column's own type. A type is named without
//! its modifier, so that it is the assignment to the column that checks a length: a cast to `varchar(3)` would cut.

use std::fmt::Write;

use ::postgres::{ident, table as quoted};

use super::table::{Key, Table};
use super::writer::OnConflict;

/// What is done to a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    /// A new row.
    Insert,
    /// The row of a key gets new values, but for the columns in `kept`.
    Update {
        /// Bound columns that stay.
        kept: Vec<usize>,
        /// The key changes too.
        moved: bool,
    },
    /// The same by delete and insert in one statement: for columns that UPDATE may not set.
    Replace {
        /// Bound columns that stay.
        kept: Vec<usize>,
    },
    /// The row of a key goes.
    Delete,
}

/// How many rows a statement takes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// One row, a parameter a value.
    One,
    /// Any number of rows, an array a column.
    Many,
    /// Any number of rows as a COPY.
    Copy,
}

/// One parameter, or one column of a COPY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Param {
    /// The bound column.
    pub(super) column: usize,
    /// The value that finds the row, not the one that it gets.
    pub(super) key: bool,
}

/// The shape of an update of a table: a column that is `GENERATED ALWAYS` cannot be set, only inserted, and an
/// UPDATE sets something.
pub(super) fn update(table: &Table, kept: Vec<usize>, moved: bool) -> Shape {
    let set = set_columns(table, &kept, moved);
    let always = |at: &usize| table.columns.get(*at).is_some_and(|column| column.target.always);
    if set.is_empty() || set.iter().any(always) {
        Shape::Replace { kept }
    } else {
        Shape::Update { kept, moved }
    }
}

/// The columns that an update sets. Key columns that stay the same are left out, unless there is nothing else.
fn set_columns(table: &Table, kept: &[usize], moved: bool) -> Vec<usize> {
    let key = table.key.columns();
    let free = |at: &usize| !kept.contains(at) && (moved || !key.contains(at));
    let set: Vec<usize> = table.writable().filter(free).collect();
    if !set.is_empty() {
        return set;
    }
    // Something must be set for the row to be found and counted; not what UPDATE may not set.
    let settable = |at: &usize| !table.columns.get(*at).is_some_and(|column| column.target.always);
    table.writable().filter(|at| !kept.contains(at)).filter(settable).take(1).collect()
}

/// The parameters of a shape, in the order of their numbers.
pub(super) fn params(table: &Table, shape: &Shape) -> Vec<Param> {
    let key: Vec<usize> = match &table.key {
        Key::None => Vec::new(),
        Key::Columns(columns) => columns.clone(),
        Key::Row => (0..table.columns.len()).collect(),
    };
    let set = match shape {
        Shape::Insert => return table.writable().map(|column| Param { column, key: false }).collect(),
        Shape::Update { kept, moved } => set_columns(table, kept, *moved),
        Shape::Replace { kept } => table.writable().filter(|at| !kept.contains(at)).collect(),
        Shape::Delete => Vec::new(),
    };
    let key = key.into_iter().map(|column| Param { column, key: true });
    key.chain(set.into_iter().map(|column| Param { column, key: false })).collect()
}

/// Whether many rows fit one statement of this shape.
pub(super) fn takes_many(table: &Table, shape: &Shape) -> bool {
    match shape {
        Shape::Insert => true,
        Shape::Update { .. } | Shape::Delete => matches!(table.key, Key::Columns(_)),
        Shape::Replace { .. } => false,
    }
}

/// The text of a statement.
pub(super) fn sql(table: &Table, shape: &Shape, how: How, on_conflict: OnConflict) -> String {
    let spell = Spell { table, params: params(table, shape), how };
    match (shape, how) {
        (Shape::Insert, How::Copy) => {
            format!("COPY {} ({}) FROM STDIN", spell.target(), spell.names(false))
        }
        (Shape::Insert, How::One | How::Many) => spell.insert(on_conflict),
        (Shape::Update { .. }, _) => spell.update(),
        (Shape::Replace { .. }, _) => spell.replace(),
        (Shape::Delete, _) => spell.delete(),
    }
}

struct Spell<'a> {
    table: &'a Table,
    params: Vec<Param>,
    how: How,
}

impl Spell<'_> {
    fn target(&self) -> String {
        quoted(self.table.name())
    }

    /// The quoted name of a bound column.
    fn name(&self, column: usize) -> String {
        self.table.columns.get(column).map(|column| ident(&column.target.name)).unwrap_or_default()
    }

    /// The names of the key's or of the other parameters.
    fn names(&self, key: bool) -> String {
        let names = self.params.iter().filter(|param| param.key == key).map(|param| self.name(param.column));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Parameter `at` as a value of its column's type.
    fn value(&self, at: usize) -> String {
        let column = self.params.get(at).and_then(|param| self.table.columns.get(param.column));
        let Some(target) = column.map(|column| &column.target) else { return String::new() };
        match self.how {
            How::One | How::Copy => format!("${}::{}", at + 1, target.type_name),
            How::Many if target.as_text => format!("s.p{}::{}", at + 1, target.type_name),
            How::Many => format!("s.p{}", at + 1),
        }
    }

    /// The values of the key's or of the other parameters.
    fn values(&self, key: bool) -> String {
        let wanted = self.params.iter().enumerate().filter(|(_, param)| param.key == key);
        wanted.map(|(at, _)| self.value(at)).collect::<Vec<_>>().join(", ")
    }

    /// An array a parameter, as rows.
    fn rows(&self) -> String {
        let mut arrays = String::new();
        let mut names = String::new();
        for (at, param) in self.params.iter().enumerate() {
            let Some(column) = self.table.columns.get(param.column) else { continue };
            let element = if column.target.as_text { "text" } else { column.target.type_name.as_str() };
            let comma = if at == 0 { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(arrays, "{comma}${}::{element}[]", at + 1);
            let _ = write!(names, "{comma}p{}", at + 1);
        }
        format!("unnest({arrays}) AS s({names})")
    }

    fn insert(&self, on_conflict: OnConflict) -> String {
        let head =
            format!("INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE", self.target(), self.names(false));
        let values = self.values(false);
        let body = match self.how {
            How::One | How::Copy => format!("VALUES ({values})"),
            How::Many => format!("SELECT {values} FROM {}", self.rows()),
        };
        format!("{head} {body}{}", self.conflict(on_conflict))
    }

    fn conflict(&self, on_conflict: OnConflict) -> String {
        let list = |columns: &mut dyn Iterator<Item = String>| columns.collect::<Vec<_>>().join(", ");
        match (on_conflict, &self.table.arbiter) {
            (OnConflict::Error, _) => String::new(),
            (OnConflict::Nothing, _) => " ON CONFLICT DO NOTHING".to_owned(),
            // Without a unique index there is no conflict.
            (OnConflict::Update, None) => String::new(),
            (OnConflict::Update, Some(key)) => {
                let names = list(&mut key.iter().map(|at| self.name(*at)));
                let set = list(
                    &mut self
                        .table
                        .writable()
                        .filter(|at| !key.contains(at))
                        .map(|at| format!("{0} = EXCLUDED.{0}", self.name(at))),
                );
                if set.is_empty() {
                    format!(" ON CONFLICT ({names}) DO NOTHING")
                } else {
                    format!(" ON CONFLICT ({names}) DO UPDATE SET {set}")
                }
            }
        }
    }

    fn update(&self) -> String {
        let free = self.params.iter().enumerate().filter(|(_, param)| !param.key);
        let set: Vec<_> =
            free.map(|(at, param)| format!("{} = {}", self.name(param.column), self.value(at))).collect();
        let with = self.one_row().map(|one| format!("WITH {one} ")).unwrap_or_default();
        format!("{with}UPDATE {} AS t SET {}{}", self.target(), set.join(", "), self.found("FROM"))
    }

    fn delete(&self) -> String {
        if let ([param], How::Many) = (self.params.as_slice(), self.how)
            && let Some(target) = self.table.columns.get(param.column).map(|column| &column.target)
            && !target.as_text
        {
            let equals = target.equals.as_deref().unwrap_or("=");
            let (name, element) = (self.name(param.column), &target.type_name);
            return format!(
                "DELETE FROM {} AS t WHERE t.{name} {equals} ANY($1::{element}[])",
                self.target()
            );
        }
        let with = self.one_row().map(|one| format!("WITH {one} ")).unwrap_or_default();
        format!("{with}DELETE FROM {} AS t{}", self.target(), self.found("USING"))
    }

    /// Delete, then insert with what the deleted row had where nothing new is known.
    fn replace(&self) -> String {
        let mut names = Vec::new();
        let mut values = Vec::new();
        for target in self.table.target.columns.iter().filter(|column| !column.generated) {
            let name = ident(&target.name);
            let new = self.params.iter().position(|param| {
                !param.key
                    && self.table.columns.get(param.column).is_some_and(|c| c.target.name == target.name)
            });
            values.push(new.map_or_else(|| format!("gone.{name}"), |at| self.value(at)));
            names.push(name);
        }
        let one = self.one_row().map(|one| format!("{one}, ")).unwrap_or_default();
        format!(
            "WITH {one}gone AS (DELETE FROM {} AS t{} RETURNING t.*) \
             INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone",
            self.target(),
            self.found("USING"),
            self.target(),
            names.join(", "),
            values.join(", ")
        )
    }

    /// Where no column is a key: of the rows that are the same in every column, exactly one, as `one`.
    fn one_row(&self) -> Option<String> {
        let target = self.target();
        (self.table.key == Key::Row).then(|| {
            format!(
                "one AS (SELECT t.tableoid AS o, t.ctid AS c FROM {target} AS t WHERE {} LIMIT 1)",
                self.same_row()
            )
        })
    }

    /// The condition that finds the rows, with what it joins.
    fn found(&self, from: &str) -> String {
        if self.table.key == Key::Row {
            return format!(" {from} one WHERE t.ctid = one.c AND t.tableoid = one.o");
        }
        let key = self.params.iter().enumerate().filter(|(_, param)| param.key);
        let same: Vec<_> = key
            .map(|(at, param)| {
                let column = self.table.columns.get(param.column);
                let equals = column.and_then(|column| column.target.equals.as_deref()).unwrap_or("=");
                format!("t.{} {equals} {}", self.name(param.column), self.value(at))
            })
            .collect();
        let same = same.join(" AND ");
        match self.how {
            How::One | How::Copy => format!(" WHERE {same}"),
            How::Many => format!(" {from} {} WHERE {same}", self.rows()),
        }
    }

    /// The same text in every column. A type's own `=` is not that: 1.0 = 1.00, and json has none.
    /// `concat` prints by the type's output function, where a cast to text would not always.
    fn same_row(&self) -> String {
        let key = self.params.iter().enumerate().filter(|(_, param)| param.key);
        let same = key.filter_map(|(at, param)| {
            let target = &self.table.columns.get(param.column)?.target;
            let (name, value) = (self.name(param.column), format!("${}::{}", at + 1, target.declared));
            if target.exact {
                return Some(format!("t.{name} IS NOT DISTINCT FROM {value}"));
            }
            Some(format!(
                "(t.{name} IS NOT DISTINCT FROM NULL) = (SELECT {value} IS NOT DISTINCT FROM NULL) \
                 AND concat(t.{name}) COLLATE \"C\" = (SELECT concat({value}) COLLATE \"C\")"
            ))
        });
        same.collect::<Vec<_>>().join(" AND ")
    }
}
