//! Finds the line of a key in the text of a YAML file: the parser's tree has no positions.
//!
//! It reads indentation only, which is enough for block style; a key inside `{…}` is told by the line of the
//! nearest key around it.

use std::collections::HashMap;

use super::path;

/// Paths of the keys and list items of a file, with the lines that they stand on.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<String, usize>);

/// A key or list item whose children may follow.
struct Open {
    column: usize,
    path: String,
    is_item: bool,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut lines = HashMap::new();
        let mut items: HashMap<String, usize> = HashMap::new();
        let mut open: Vec<Open> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let mut rest = line.trim_start_matches(' ');
            let mut column = line.len() - rest.len();
            if rest.is_empty() || rest.starts_with('#') || rest.starts_with("---") {
                continue;
            }
            while let Some(inside) = item(rest) {
                // A list may stand in the same column as the key that holds it.
                while open.last().is_some_and(|o| o.column > column || (o.is_item && o.column == column)) {
                    open.pop();
                }
                let parent = open.last().map_or("", |o| o.path.as_str()).to_owned();
                let count = items.entry(parent.clone()).or_default();
                let here = path::item(&parent, *count);
                *count += 1;
                lines.insert(here.clone(), number);
                open.push(Open { column, path: here, is_item: true });
                column += rest.len() - inside.len();
                rest = inside;
            }
            let Some(name) = key(rest) else { continue };
            while open.last().is_some_and(|o| o.column >= column) {
                open.pop();
            }
            let here = path::key(open.last().map_or("", |o| o.path.as_str()), name);
            lines.entry(here.clone()).or_insert(number);
            open.push(Open { column, path: here, is_item: false });
        }
        Self(lines)
    }

    /// The line of the key at `path`.
    pub(super) fn get(&self, path: &str) -> Option<usize> {
        self.0.get(path).copied()
    }
}

/// What follows the dash of a list item.
fn item(text: &str) -> Option<&str> {
    if text == "-" {
        return Some("");
    }
    text.strip_prefix("- ").map(|inside| inside.trim_start_matches(' '))
}

/// The key that leads a line, without its quotes.
fn key(text: &str) -> Option<&str> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            let (name, rest) = inside.split_once(quote)?;
            return rest.trim_start().starts_with(':').then_some(name);
        }
    }
    let end = text.match_indices(':').map(|(at, _)| at).find(|at| {
        let after = text.get(at + 1..).unwrap_or_default();
        after.is_empty() || after.starts_with([' ', '\t'])
    })?;
    text.get(..end).map(str::trim_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_items_are_found_by_indentation() {
        let lines = Lines::of(
            "# first\nsource:\n  postgres:\n    url: postgres://a:b@c/d\n\nplugins:\n- use: ./a.wasm\n  grant:\n    \
             - clock\n    - random\n-   use: ./b.wasm\n'quoted key': {inner: 1}\nlast: 1\n",
        );
        for (path, line) in [
            ("source", Some(2)),
            ("source.postgres.url", Some(4)),
            ("plugins[0].use", Some(7)),
            ("plugins[0].grant[1]", Some(10)),
            ("plugins[1].use", Some(11)),
            ("\"quoted key\"", Some(12)),
            ("\"quoted key\".inner", None),
            ("last", Some(13)),
        ] {
            assert_eq!(lines.get(path), line, "{path}");
        }
    }
}
