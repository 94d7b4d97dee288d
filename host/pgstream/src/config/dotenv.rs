//! Reads a `.env` file: lines of `NAME=value`.

use std::path::Path;

use super::problem::Error;

/// The variables of a file with the lines that they stand on, in order.
///
/// `export ` in front, comments, blank lines and quotes are understood; in double quotes `\n`, `\"` and `\\`.
pub(super) fn parse(text: &str, file: &Path) -> Result<Vec<(String, String, usize)>, Error> {
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad =
            |what: &str| Error::Syntax { path: file.to_owned(), reason: format!("line {number}: {what}") };
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').ok_or_else(|| bad("expected NAME=value"))?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(bad("expected a name of letters, digits and `_` before `=`"));
        }
        let value = unquoted(value.trim()).ok_or_else(|| bad("the quotes are not closed"))?;
        variables.push((name.to_owned(), value, number));
    }
    Ok(variables)
}

/// The value without quotes and without the comment behind it; `None` if quotes are not closed.
fn unquoted(value: &str) -> Option<String> {
    if let Some(inside) = value.strip_prefix('\'') {
        return inside.split_once('\'').map(|(text, _)| text.to_owned());
    }
    let Some(inside) = value.strip_prefix('"') else {
        return Some(value.split(" #").next().unwrap_or(value).trim_end().to_owned());
    };
    let mut text = String::new();
    let mut characters = inside.chars();
    loop {
        match characters.next()? {
            '"' => return Some(text),
            '\\' => match characters.next()? {
                'n' => text.push('\n'),
                c @ ('"' | '\\' | '$') => text.push(c),
                c => text.extend(['\\', c]),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_names_and_values() {
        let text = "# first\nA=1\n\nexport B = two words # comment\nC=\"a \\\"b\\\" #c\\n\"\nD='raw \\n'\nE=\nF=p#q\n";
        let read = parse(text, Path::new(".env")).unwrap();
        let plain: Vec<(&str, &str, usize)> =
            read.iter().map(|(n, v, l)| (n.as_str(), v.as_str(), *l)).collect();
        assert_eq!(
            plain,
            [
                ("A", "1", 2),
                ("B", "two words", 4),
                ("C", "a \"b\" #c\n", 5),
                ("D", "raw \\n", 6),
                ("E", "", 7),
                ("F", "p#q", 8)
            ]
        );
    }

    #[test]
    fn what_is_no_assignment_is_told_with_its_line() {
        for text in ["A=1\nnothing", "A=1\nB C=1", "A=1\nB=\"open"] {
            let error = parse(text, Path::new(".env")).unwrap_err().to_string();
            assert!(error.starts_with(".env: line 2: "), "{error}");
        }
    }
}
