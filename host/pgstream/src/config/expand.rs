//! `${NAME}` in a configuration file: only the braced form, replaced by the environment variable.
//!
//! A reference is replaced by a mark before the file is parsed, and the mark by the variable's text in the parsed
//! scalars. So a password may hold `#`, `:` or quotes, a comment may name a variable that is not set, and no
//! secret can show up in a syntax error.

/// Marks of the private use area, which no YAML syntax gives a meaning.
const OPEN: char = '\u{f8f0}';
const CLOSE: char = '\u{f8f1}';

/// The references of one file.
#[derive(Debug, Default)]
pub(super) struct References(Vec<String>);

impl References {
    /// The text with marks for references, and the references.
    pub(super) fn mark(text: &str) -> (String, Self) {
        let (mut marked, mut names, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            marked.push_str(before);
            match after.split_once('}') {
                Some((name, after)) if is_name(name) => {
                    marked.push_str(&format!("{OPEN}{}{CLOSE}", names.len()));
                    names.push(name.to_owned());
                    rest = after;
                }
                _ => {
                    marked.push_str("${");
                    rest = after;
                }
            }
        }
        marked.push_str(rest);
        (marked, Self(names))
    }

    /// The text with the variables in place of the marks. `Err` holds the names of those that are not set.
    pub(super) fn expand(
        &self,
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<String, Vec<String>> {
        let (mut expanded, mut unset, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
        while let Some((before, after)) = rest.split_once(OPEN) {
            expanded.push_str(before);
            let reference = after
                .split_once(CLOSE)
                .and_then(|(index, after)| Some((self.0.get(index.parse::<usize>().ok()?)?, after)));
            let Some((name, after)) = reference else {
                expanded.push(OPEN);
                rest = after;
                continue;
            };
            match variable(name) {
                Some(value) => expanded.push_str(&value),
                None => unset.push(name.clone()),
            }
            rest = after;
        }
        expanded.push_str(rest);
        if unset.is_empty() { Ok(expanded) } else { Err(unset) }
    }
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, Vec<String>> {
        let (marked, references) = References::mark(text);
        references.expand(&marked, &|name| match name {
            "USER" => Some("app".to_owned()),
            "PASSWORD" => Some("a#b: ${USER}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        })
    }

    #[test]
    fn only_the_braced_form_is_a_reference_and_values_are_not_expanded_again() {
        for (text, expected) in [
            ("no reference $USER", Ok("no reference $USER")),
            ("${USER}:${PASSWORD}@h", Ok("app:a#b: ${USER}@h")),
            ("${EMPTY}", Ok("")),
            ("${not a name} ${1} ${", Ok("${not a name} ${1} ${")),
            ("${GONE}${USER}${LOST}", Err(vec!["GONE", "LOST"])),
        ] {
            let expected =
                expected.map(str::to_owned).map_err(|e| e.iter().map(ToString::to_string).collect());
            assert_eq!(expand(text), expected, "{text}");
        }
    }
}
