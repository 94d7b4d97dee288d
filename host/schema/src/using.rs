//! The expression of `ALTER COLUMN … TYPE … USING`, which stands in the text of a statement and nowhere else.
//!
//! The text is read by a parser with Postgres' grammar. What it cannot read for certain is not known.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{AlterColumnOption, AlterTableAction, AstNode, Expr, Stmt};

use crate::document::{Column, Table};
use crate::name::ident;

/// The log keeps so many characters: of a text that is as long the rest may be missing.
const CUT: usize = 16_384;
/// The parser calls itself for each level of an expression, and the levels are the client's.
const STACK: usize = 256 << 20;

/// The columns of tables whose types a text changes.
#[derive(Clone, Debug, Default)]
pub struct Retyped {
    found: Vec<Found>,
}

#[derive(Clone, Debug)]
struct Found {
    /// Which statement of the text it is in.
    statement: usize,
    /// As written: the schema may be left out.
    schema: Option<String>,
    table: String,
    column: String,
    using: Option<Using>,
}

/// The expression of a USING clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Using {
    /// Its text.
    pub sql: String,
    /// Every word that it may call a column or a function by.
    words: Vec<String>,
    /// Those that no schema stands before.
    bare: Vec<String>,
    /// It is a column alone, cast to these types in turn.
    casts: Option<(String, Vec<String>)>,
}

impl Retyped {
    /// Reads the text that a client sent. `None` if it cannot be known what it does: it has an end that is missing, is
    /// not understood, or calls what may hold statements of its own.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.chars().count() >= CUT {
            return None;
        }
        // On a thread of its own, so that no text can take the stack of ours; what it panics at it has not read.
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(text));
            reader.ok()?.join().ok()?
        })
    }

    /// What the text does to a column: outside `None` if it does not tell, or tells several things.
    #[must_use]
    pub fn using(&self, table: &Table, column: &Column) -> Option<Option<&Using>> {
        let mut of_column = self.of(table).filter(|it| it.column == column.name);
        let first = of_column.next()?;
        of_column.all(|other| other.using == first.using).then_some(first.using.as_ref())
    }

    /// Whether a statement that gives these columns of a table another type gives an expression to others, too: they have new
    /// values, and their type may be the old one.
    #[must_use]
    pub fn gives_others_values(&self, table: &Table, columns: &[&str]) -> bool {
        let is_told = |it: &Found| columns.contains(&it.column.as_str());
        self.of(table)
            .filter(|it| it.using.is_some() && !is_told(it))
            .any(|other| self.of(table).any(|it| it.statement == other.statement && is_told(it)))
    }

    fn of<'s>(&'s self, table: &Table) -> impl Iterator<Item = &'s Found> {
        self.found.iter().filter(|it| {
            it.table == table.name && it.schema.as_ref().is_none_or(|schema| *schema == table.schema)
        })
    }
}

impl Using {
    /// Whether it may read a column.
    #[must_use]
    pub fn may_read(&self, column: &str) -> bool {
        self.words.iter().any(|word| word == column)
    }

    /// Words that may call a function without its schema.
    #[must_use]
    pub fn bare_words(&self) -> &[String] {
        &self.bare
    }

    /// The same with whole names, if it takes the words of a text or an enum for those of a text or an enum, which is
    /// what the types have to be for this to hold.
    #[must_use]
    pub fn of_labels(&self, old: &Column, new: &Column) -> Option<String> {
        let (column, casts) = self.casts.as_ref()?;
        let (last, before) = casts.split_last()?;
        if *column != old.name || !before.iter().all(|name| is_text(name)) {
            return None;
        }
        let text = format!("{}::text", ident(&new.name));
        match last_word(&new.type_name) {
            _ if is_text(last) => Some(text),
            Some(name) if name == *last => Some(format!("{text}::{}", new.type_name)),
            _ => None,
        }
    }
}

fn is_text(name: &str) -> bool {
    matches!(name, "text" | "varchar")
}

fn read(text: &str) -> Option<Retyped> {
    let parsed = SourceFile::parse(text);
    if !parsed.errors().is_empty() {
        return None;
    }
    let mut found = Vec::new();
    for (at, statement) in parsed.tree().stmts().enumerate() {
        let alter = match statement {
            Stmt::AlterTable(alter) => alter,
            // They may run anything.
            Stmt::Do(_) | Stmt::Call(_) | Stmt::Execute(_) | Stmt::Select(_) => return None,
            _ => continue,
        };
        let name = alter.table_relation_name()?.table_name_ref()?;
        let mut words = words(name.syntax().text().to_string().as_str())?;
        let table = words.pop()?;
        let schema = words.pop();
        for action in alter.actions() {
            let AlterTableAction::AlterColumn(change) = action else { continue };
            let Some(AlterColumnOption::SetType(set)) = change.option() else { continue };
            let column = word(change.column_name_ref()?.syntax().text().to_string().trim())?;
            let using = match set.using_expr() {
                Some(using) => Some(expression(&using.expr()?)?),
                None => None,
            };
            let (schema, table) = (schema.clone(), table.clone());
            found.push(Found { statement: at, schema, table, column, using });
        }
    }
    Some(Retyped { found })
}

fn expression(expr: &Expr) -> Option<Using> {
    let (mut words, mut bare, mut after_dot) = (Vec::new(), Vec::new(), false);
    for token in expr.syntax().descendants_with_tokens().filter_map(|it| it.into_token()) {
        // A keyword may be a name too.
        if let Some(word) = word(token.text()) {
            if !after_dot {
                bare.push(word.clone());
            }
            words.push(word);
        }
        after_dot = token.text() == "." || (after_dot && token.text().trim().is_empty());
    }
    Some(Using { sql: expr.syntax().text().to_string(), words, bare, casts: casts(expr) })
}

/// A column with what it is cast to, from the inside out.
fn casts(expr: &Expr) -> Option<(String, Vec<String>)> {
    match expr {
        Expr::CastExpr(cast) => {
            let (column, mut types) = casts(&cast.expr()?)?;
            let name = cast.ty()?.syntax().text().to_string();
            types.push(words(&name)?.pop()?);
            Some((column, types))
        }
        Expr::ParenExpr(inner) => casts(&inner.expr()?),
        Expr::NameRef(name) => Some((word(name.syntax().text().to_string().trim())?, Vec::new())),
        _ => None,
    }
}

/// The words of a name: `public."T"`.
fn words(name: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = name.trim();
    loop {
        let end = end_of_word(rest)?;
        let (first, after) = rest.split_at_checked(end)?;
        words.push(word(first)?);
        let after = after.trim_start();
        if after.is_empty() {
            return Some(words);
        }
        rest = after.strip_prefix('.')?.trim_start();
    }
}

fn end_of_word(text: &str) -> Option<usize> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(text.find(|c: char| !is_of_word(c)).unwrap_or(text.len()));
    };
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == '"' && chars.next_if(|(_, next)| *next == '"').is_none() {
            return Some(at + 2);
        }
    }
    None
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii()
}

/// An identifier as Postgres reads it.
fn word(text: &str) -> Option<String> {
    if let Some(quoted) = text.strip_prefix('"') {
        return Some(quoted.strip_suffix('"')?.replace("\"\"", "\""));
    }
    let is_word = !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit() || c == '$')
        && text.chars().all(is_of_word);
    is_word.then(|| text.to_ascii_lowercase())
}

fn last_word(name: &str) -> Option<String> {
    words(name)?.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of each column: table, column, expression.
    fn told(text: &str) -> Option<Vec<(String, String, Option<String>)>> {
        let found = Retyped::read(text)?.found;
        Some(found.into_iter().map(|it| (it.table, it.column, it.using.map(|using| using.sql))).collect())
    }

    #[test]
    fn the_expression_is_read_wherever_it_stands() {
        for (text, using) in [
            ("ALTER TABLE t ALTER COLUMN v TYPE int USING length(v)", Some("length(v)")),
            (
                "alter table if exists only public.t alter V set data type int using(length(v))",
                Some("(length(v))"),
            ),
            (
                "ALTER TABLE \"t\" ADD a int, ALTER v TYPE text USING $a$ using ; $a$ || v, DROP b;",
                Some("$a$ using ; $a$ || v"),
            ),
            (
                "BEGIN; -- USING x\nALTER TABLE public . t ALTER v TYPE int USING v /* ; */ ::int; COMMIT",
                Some("v /* ; */ ::int"),
            ),
            ("CREATE INDEX ON t USING btree (v); ALTER TABLE t ALTER v TYPE bigint", None),
            ("ALTER TABLE t ALTER v TYPE text USING 'it''s; x'", Some("'it''s; x'")),
        ] {
            let expected = Some(vec![("t".to_owned(), "v".to_owned(), using.map(str::to_owned))]);
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_may_do_something_else_tells_nothing() {
        let long = format!("ALTER TABLE t ALTER v TYPE int /* {} */", "x".repeat(CUT));
        let deep =
            format!("ALTER TABLE t ALTER v TYPE int USING {}v{}", "(".repeat(8_000), ")".repeat(8_000));
        for text in [
            "DO $$ BEGIN ALTER TABLE t ALTER v TYPE int USING length(v); END $$",
            "SELECT change(); ALTER TABLE t ALTER v TYPE int",
            "CALL change()",
            "EXECUTE change",
            "ALTER TABLE t ALTER v TYPE int USING",
            "ALTER TABLE t ALTER v TYPE int USING length(v",
            &long,
        ] {
            assert!(told(text).is_none(), "{text}");
        }
        // Read or not, it takes nobody's stack.
        let _ = told(&deep);
    }

    #[test]
    fn names_are_read_as_postgres_reads_them() {
        assert_eq!(words("Public.\"T \"\"x\"\".y\"").unwrap(), ["public", "T \"x\".y"]);
        assert_eq!(words("T").unwrap(), ["t"]);
        assert_eq!(words("character varying"), None);
        assert_eq!(words("varchar(5)"), None);
        assert_eq!(words("\"open"), None);
    }
}
