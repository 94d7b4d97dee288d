//! The raw configuration: a tree of texts, numbers, lists and maps, each with the place it was set.

use std::path::Path;
use std::sync::Arc;

use serde_norway::Value;

use super::expand::References;
use super::lines::Lines;
use super::path;
use super::problem::{Error, Fault, Origin, Problem};

/// One place of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) origin: Origin,
}

/// What is there.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Flag(bool),
    Whole(i128),
    Fraction(f64),
    /// Text, also a number or flag that came from a variable or the command line.
    Text(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A map without keys.
    pub(super) fn empty(origin: Origin) -> Self {
        Self { content: Content::Map(Vec::new()), origin }
    }

    /// A text.
    pub(super) fn text(text: impl Into<String>, origin: Origin) -> Self {
        Self { content: Content::Text(text.into()), origin }
    }

    /// What to call it in "expected a list, found …".
    pub(super) fn name(&self) -> &'static str {
        match &self.content {
            Content::Null => "nothing",
            Content::Flag(_) => "true or false",
            Content::Whole(_) | Content::Fraction(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Map(_) => "a section",
        }
    }

    /// Whether it asks for nothing: empty, `false`, or a section that is switched off.
    pub(super) fn is_off(&self) -> bool {
        match &self.content {
            Content::Null | Content::Flag(false) => true,
            Content::Text(text) => text.is_empty() || text == "false",
            Content::List(items) => items.is_empty(),
            Content::Map(entries) => match entries.iter().find(|(name, _)| name == "enabled") {
                Some((_, enabled)) => enabled.is_off(),
                None => entries.iter().all(|(_, node)| node.is_off()),
            },
            Content::Flag(true) | Content::Whole(_) | Content::Fraction(_) => false,
        }
    }

    /// The node at `steps` below, if it is there.
    pub(super) fn find(&self, steps: &[&str]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match &node.content {
            Content::Map(entries) => entries.iter().find(|(name, _)| name == step).map(|(_, node)| node),
            _ => None,
        })
    }

    /// Puts `node` at `steps` below, in place of what is there. What stands in the way is replaced.
    pub(super) fn set(&mut self, steps: &[&str], node: Self) {
        let Some((step, rest)) = steps.split_first() else {
            *self = node;
            return;
        };
        if let Content::Map(entries) = &mut self.content {
            match entries.iter_mut().find(|(name, _)| name == step) {
                Some((_, child)) => child.set(rest, node),
                None => {
                    let mut child = Self::empty(node.origin.clone());
                    child.set(rest, node);
                    entries.push(((*step).to_owned(), child));
                }
            }
            return;
        }
        *self = Self::empty(node.origin.clone());
        self.set(steps, node);
    }

    /// As JSON: what a plugin is given.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.content {
            Content::Null => serde_json::Value::Null,
            Content::Flag(flag) => (*flag).into(),
            Content::Whole(number) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (_, Ok(number)) => number.into(),
                _ => number.to_string().into(),
            },
            Content::Fraction(number) => (*number).into(),
            Content::Text(text) => text.as_str().into(),
            Content::List(items) => items.iter().map(Self::json).collect(),
            Content::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(name, node)| (name.clone(), node.json())).collect(),
            ),
        }
    }
}

/// Parses a YAML file into a tree. References to variables that are not set go to `problems`.
pub(super) fn parse_yaml(
    text: &str,
    file: &Arc<Path>,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> Result<Node, Error> {
    let (marked, references) = References::mark(text);
    let value: Value = serde_norway::from_str(&marked)
        .map_err(|error| Error::Syntax { path: file.to_path_buf(), reason: error.to_string() })?;
    let lines = Lines::of(&marked);
    let mut reading = Reading { file, lines, references, variable, problems };
    let mut root = reading.node(value, "", None);
    if matches!(root.content, Content::Null) {
        root.content = Content::Map(Vec::new());
    }
    Ok(root)
}

/// What the walk over a parsed file needs.
struct Reading<'a> {
    file: &'a Arc<Path>,
    lines: Lines,
    references: References,
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<Problem>,
}

impl Reading<'_> {
    fn node(&mut self, value: Value, here: &str, line_above: Option<usize>) -> Node {
        let line = self.lines.get(here).or(line_above);
        let origin = Origin::File(Arc::clone(self.file), line);
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(flag) => Content::Flag(flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Content::Whole(whole.into()),
                (_, Some(whole)) => Content::Whole(whole.into()),
                _ => Content::Fraction(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Content::Text(self.expand(&text, here, &origin)),
            Value::Sequence(items) => Content::List(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, value)| self.node(value, &path::item(here, index), line))
                    .collect(),
            ),
            Value::Mapping(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (name, value) in entries {
                    let name = self.key(name, here, &origin);
                    let node = self.node(value, &path::key(here, &name), line);
                    map.push((name, node));
                }
                Content::Map(map)
            }
            Value::Tagged(tagged) => return self.node(tagged.value, here, line_above),
        };
        Node { content, origin }
    }

    /// A key as text: YAML would also have `1:` and `true:`, and a column may be called so.
    fn key(&mut self, name: Value, here: &str, origin: &Origin) -> String {
        match name {
            Value::String(text) => self.expand(&text, here, origin),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Null => "null".to_owned(),
            Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
                let fault = Fault::Type { expected: "a key".to_owned(), found: "a structure" };
                self.problems.push(Problem { path: here.to_owned(), origin: Some(origin.clone()), fault });
                String::new()
            }
        }
    }

    fn expand(&mut self, text: &str, here: &str, origin: &Origin) -> String {
        match self.references.expand(text, self.variable) {
            Ok(text) => text,
            Err(unset) => {
                for name in unset {
                    let fault = Fault::Unset { name };
                    self.problems.push(Problem {
                        path: here.to_owned(),
                        origin: Some(origin.clone()),
                        fault,
                    });
                }
                // Not empty: one problem is enough for one mistake.
                "${}".to_owned()
            }
        }
    }
}
