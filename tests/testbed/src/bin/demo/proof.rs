//! The proof at the end: what is on the source and on the target, row by row.

use testbed::compare::{Report, Row, Table};
use testbed::{Postgres, Result};

use crate::masks;
use crate::progress::{WIDTH, grouped};

/// Compares every table; answers whether all is as it must be.
pub(crate) async fn compare(source: &Postgres, target: &Postgres) -> Result<bool> {
    let (from, to) = (source.connect("shop").await?, target.connect("shop").await?);
    let tables = [
        Table::new("pgbench_accounts").key(&["aid"]),
        Table::new("pgbench_branches").key(&["bid"]),
        Table::new("pgbench_tellers").key(&["tid"]),
        Table::new("pgbench_history"),
        Table::new("probe").key(&["id"]),
        Table::new("loyalty").key(&["customer"]),
        customers(),
    ];
    println!("  {:<20}{:>12}{:>12}{:>12}", "table", "source", "target", "different");
    let mut equal = true;
    for table in tables {
        let report = table.compare(&from, &to).await?;
        let masked = report.is_equal() && report.table == "customers";
        show(&report, if masked { "  masked as it must be" } else { "" });
        equal &= report.is_equal();
    }
    Ok(equal & excluded(source, target).await?)
}

/// The columns with a rule must hold what the rule makes of the source's value, all others the same value.
fn customers() -> Table {
    Table::new("customers")
        .key(&["id"])
        .masked("name", |row| with(row, "name", masks::name))
        .masked("email", |row| with(row, "email", masks::email))
        .masked("phone", |row| with(row, "phone", masks::phone))
        .masked("notes", |row| with(row, "notes", |_| masks::NOTES.to_owned()))
}

fn with(row: &Row, column: &str, mask: impl Fn(&str) -> String) -> Option<String> {
    row.get(column).cloned().flatten().map(|text| mask(&text))
}

fn show(report: &Report, remark: &str) {
    let number = |rows: usize| grouped(u64::try_from(rows).unwrap_or(u64::MAX));
    println!(
        "  {:<20}{:>12}{:>12}{:>12}{remark}",
        report.table,
        number(report.source_rows),
        number(report.target_rows),
        number(report.different),
    );
    for line in &report.differences {
        println!("    {}", cut(line, WIDTH - 4));
    }
}

async fn excluded(source: &Postgres, target: &Postgres) -> Result<bool> {
    let rows = source.value("shop", "SELECT count(*) FROM sessions").await?.parse().unwrap_or(0);
    let there = target.value("shop", "SELECT to_regclass('sessions')").await?;
    let there = if there.is_empty() { "none" } else { "there!" };
    println!("  {:<20}{:>12}{there:>12}  left out by the filter", "sessions", grouped(rows));
    Ok(there == "none")
}

/// Some customers as they are on either side.
pub(crate) async fn samples(source: &Postgres, target: &Postgres) -> Result<()> {
    // The longest names differ most in what a mask leaves of them.
    let ids = source.value("shop", "SELECT string_agg(id::text, ',') FROM \
        (SELECT id FROM customers WHERE phone IS NOT NULL AND notes <> '' ORDER BY length(name) DESC, id LIMIT 5) c");
    let ids = ids.await?;
    if ids.is_empty() {
        return Ok(());
    }
    let query = format!("SELECT name, email, phone, notes FROM customers WHERE id IN ({ids}) ORDER BY id");
    let (before, after) = (source.rows("shop", &query).await?, target.rows("shop", &query).await?);
    let widths = [15, 29, 17, 14];
    println!("  five customers on the source, and what the target knows of them");
    for (from, to) in before.iter().zip(&after) {
        println!("    {}", line(from, widths));
        println!("  → {}", line(to, widths));
    }
    Ok(())
}

fn line(row: &[Option<String>], widths: [usize; 4]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let text = cut(cell.as_deref().unwrap_or("NULL"), width - 1);
        format!("{text:<width$}")
    });
    cells.collect::<String>().trim_end().to_owned()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut start: String = text.chars().take(width.saturating_sub(1)).collect();
    start.push('…');
    start
}
