//! Columns that get another type: what the rows of the source got by a statement's USING, or by the cast that stands for it, the
//! rows of the target get too, if they tell all that it takes.

use ::postgres::{Client, ident, literal};
use schema::{Change, Object, Retyped, Retyping, Using, keeps_types, retypings};

use super::Error;
use super::define::{Ddl, back, in_savepoint, is_so};
use super::error::{Call, call_of, lost};
use event::SchemaEntry;

/// The documents are the same before and after, and the rows are not.
const NEW_VALUES: &str = "a column got new values and kept its type";

/// Gives each column that gets another type its expression. An answer is the table, as SQL, and why its values cannot be
/// followed.
pub(super) async fn follow(
    client: &Client,
    changes: &mut [Change],
    entries: &[SchemaEntry],
    ddl: &Ddl,
) -> Result<Option<(String, &'static str)>, Error> {
    let is_filled = |change: &Change| change.rewritten.is_some_and(|it| it.type_changed && !it.empty);
    if !changes.iter().any(is_filled) {
        return Ok(None);
    }
    let text = entries.iter().find_map(|entry| entry.statement.as_deref());
    let retyped = text.and_then(Retyped::read);
    for change in changes {
        if let Some(Object::Table(table)) = &change.after
            && is_filled(change)
            && keeps_types(change)
        {
            return Ok(Some((table.full_name().to_string(), NEW_VALUES)));
        }
        let (mut found, all) = (Vec::new(), retypings(change));
        let names: Vec<&str> = all.iter().map(|retyping| retyping.old.name.as_str()).collect();
        for retyping in &all {
            let stop = |why| Ok(Some((retyping.table.full_name().to_string(), why)));
            if retyped.as_ref().is_some_and(|it| it.gives_others_values(retyping.table, &names)) {
                return stop(NEW_VALUES);
            }
            let Some(using) = retyped.as_ref().and_then(|it| it.using(retyping.table, retyping.old)) else {
                return stop("whether the statement has USING cannot be read from its text");
            };
            if let Some(using) = using
                && entries.iter().flat_map(|entry| &entry.masked).any(|column| {
                    *column == retyping.new.name || *column == retyping.old.name || using.may_read(column)
                })
            {
                return stop("the statement has USING over a column that a rule masks");
            }
            match judge(client, retyping, using, ddl).await? {
                Ok(sql) => found.extend(sql.map(|sql| (retyping.new.attnum, sql))),
                Err(why) => return stop(why),
            }
        }
        change.using.extend(found);
    }
    Ok(None)
}

/// The expression for the target, or why there is none.
async fn judge(
    client: &Client,
    it: &Retyping<'_>,
    using: Option<&Using>,
    ddl: &Ddl,
) -> Result<Result<Option<String>, &'static str>, Error> {
    // For Postgres the labels of an enum are not immutable. Here they are the same on both sides.
    let by_label = match using {
        Some(using) => using.of_labels(it.old, it.new).map(Some),
        None => Some(None),
    };
    if let Some(sql) = by_label
        && are_words(client, it).await?
    {
        return Ok(Ok(sql));
    }
    if let Some(using) = using
        && !is_plain(client, it, using).await?
    {
        return Ok(Err("what its USING calls depends on the search path: a function or a type of its own"));
    }
    let sql = using.map_or_else(|| ident(&it.old.name), |using| using.sql.clone());
    // A generated column may be made of nothing but the row and what is immutable, its cast to the type of the column
    // included. Who knows that is the server itself, and a table without rows is enough to ask it.
    // Before Postgres 18 it does not look at a cast that it adds itself.
    let (table, alone, to) = (it.table.full_name(), ident(&it.table.name), &it.new.type_name);
    let asked = format!(
        "CREATE TEMPORARY TABLE {alone} (LIKE {table}); \
         ALTER TABLE pg_temp.{alone} ADD COLUMN pgstream_using {to} GENERATED ALWAYS AS (({sql})::{to}) STORED; \
         DROP TABLE pg_temp.{alone}"
    );
    let Err(error) = in_savepoint(client, &asked, ddl).await else {
        return Ok(Ok(using.map(|using| using.sql.clone())));
    };
    match call_of(&error) {
        Call::Reconnect => return Err(lost(&error)),
        Call::Retry => return Err(Error::Contended { reason: ::postgres::describe(&error) }),
        Call::Room => return Err(::postgres::Error::statement("look at a USING clause", &error).into()),
        Call::LookAgain | Call::Exact => {}
    }
    back(client).await?;
    let code = error.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    Ok(Err(match (code, using) {
        ("42P17", Some(_)) => {
            "its USING depends on more than the row (the time zone, the time, chance, a setting)"
        }
        ("42P17", None) => {
            "the cast to the new type depends on a setting of the session (the time zone, the style of dates)"
        }
        ("42883" | "42704" | "3F000", _) => {
            "its USING calls something that the target lacks, or names it without its schema"
        }
        _ => "the target does not take its USING",
    }))
}

/// Whether names without a schema, and operators, can be those of Postgres alone: the source may have found others first.
async fn is_plain(client: &Client, it: &Retyping<'_>, using: &Using) -> Result<bool, Error> {
    let read = it.table.columns.iter().filter(|column| using.may_read(&column.name));
    let types: Vec<String> = read.map(|column| column.type_name.clone()).collect();
    let sql = "SELECT NOT EXISTS (SELECT FROM pg_proc WHERE proname::text = ANY ($1) AND pronamespace <> 'pg_catalog'::regnamespace) \
               AND NOT EXISTS (SELECT FROM unnest($2::text[]) AS of (type) LEFT JOIN pg_type AS t ON t.oid = to_regtype(of.type) \
                   WHERE t.typnamespace IS DISTINCT FROM 'pg_catalog'::regnamespace AND t.typtype IS DISTINCT FROM 'e')";
    is_so(client, sql, &[&using.bare_words(), &types], "look at functions on the target").await
}

/// Whether the column was a text or an enum, and is one.
async fn are_words(client: &Client, it: &Retyping<'_>) -> Result<bool, Error> {
    let types = [&it.old.type_name, &it.new.type_name].map(|name| format!("to_regtype({})", literal(name)));
    let sql = format!(
        "SELECT count(*) = 2 FROM unnest(ARRAY[{}]) AS of (type) JOIN pg_type AS t ON t.oid = of.type \
         WHERE t.typtype = 'e' OR t.typname IN ('text', 'varchar') AND t.typnamespace = 'pg_catalog'::regnamespace",
        types.join(", ")
    );
    is_so(client, &sql, &[], "look at types on the target").await
}
