//! Reads one section of the raw tree key by key, collects what is wrong, and knows at its end what nobody read.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use super::node::{Content, Node};
use super::problem::{Fault, Origin, Problem};
use super::{path, scalar};

/// What reading has found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// A section that is being read.
pub(crate) struct Section<'a> {
    path: String,
    entries: &'a [(String, Node)],
    origin: Option<&'a Origin>,
    known: Vec<&'static str>,
    report: &'a mut Report,
}

impl<'a> Section<'a> {
    /// Reads the whole tree.
    pub(super) fn root<T>(node: &Node, report: &mut Report, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        Section::over(String::new(), Some(node), report, read)
    }

    /// Reads what `node` holds, or an empty section if there is none.
    fn over<T>(
        path: String,
        node: Option<&Node>,
        report: &mut Report,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let entries = match node.map(|node| &node.content) {
            Some(Content::Map(entries)) => entries.as_slice(),
            None | Some(Content::Null) => &[],
            Some(_) => {
                report.problems.extend(node.map(|node| mistyped(&path, node, "a section")));
                // Read all the same, for its result; what it misses is not another mistake.
                let mut unheard = Report::default();
                return Section::over(path, None, &mut unheard, read);
            }
        };
        let mut section =
            Section { path, entries, origin: node.map(|node| &node.origin), known: Vec::new(), report };
        let result = read(&mut section);
        section.refuse_unread();
        result
    }

    fn refuse_unread(&mut self) {
        for (name, node) in self.entries {
            if self.known.contains(&name.as_str()) {
                continue;
            }
            let nearest = nearest(name, self.known.iter().copied());
            let fault = Fault::Unknown { what: "key", nearest };
            self.report.problems.push(Problem {
                path: path::key(&self.path, name),
                origin: Some(node.origin.clone()),
                fault,
            });
        }
    }

    /// The node of a key; `None` if it is not there or empty (`key:` with nothing behind it).
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let entry = self.entries.iter().find(|(name, _)| name == key);
        entry.map(|(_, node)| node).filter(|node| !matches!(node.content, Content::Null))
    }

    /// Whether a key is there, with something behind it.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        self.node(key).is_some()
    }

    /// Reads the section at `key`; a section that is not there is read as an empty one.
    pub(crate) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let node = self.node(key);
        Section::over(path::key(&self.path, key), node, self.report, read)
    }

    /// Reads the section at `key`, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'_>) -> T,
    ) -> Option<T> {
        self.node(key)?;
        Some(self.section(key, read))
    }

    /// Reads each item of the list at `key` as a section.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for (index, item) in self.items(key).iter().enumerate() {
            let here = path::item(&path::key(&self.path, key), index);
            all.push(Section::over(here, Some(item), self.report, &mut read));
        }
        all
    }

    /// Reads each key of the section at `key`, whatever its name, as a section.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> Vec<T> {
        let here = path::key(&self.path, key);
        let Some(node) = self.node(key) else { return Vec::new() };
        let Content::Map(entries) = &node.content else {
            self.report.problems.push(mistyped(&here, node, "a section"));
            return Vec::new();
        };
        let one = |(name, node): &(String, Node)| {
            Section::over(path::key(&here, name), Some(node), self.report, |section| read(name, section))
        };
        entries.iter().map(one).collect()
    }

    fn items(&mut self, key: &'static str) -> &'a [Node] {
        let Some(node) = self.node(key) else { return &[] };
        if let Content::List(items) = &node.content {
            return items;
        }
        self.report.problems.push(mistyped(&path::key(&self.path, key), node, "a list"));
        &[]
    }

    /// A text. Numbers and flags count: a password may look like one.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        let text = scalar_text(node);
        if text.is_none() {
            self.wrong(key, "a text", node);
        }
        text
    }

    /// A text that must be there; `expected` says what it is.
    pub(super) fn required(&mut self, key: &'static str, expected: &str) -> Option<String> {
        let missing = Fault::Missing { expected: expected.to_owned() };
        if !self.has(key) {
            self.problem(key, missing);
            return None;
        }
        let text = self.text(key)?;
        if text.is_empty() {
            self.problem(key, missing);
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.parsed(key, "true or false", |text| match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        })
    }

    /// A whole number of at least 1.
    pub(super) fn count(&mut self, key: &'static str) -> Option<usize> {
        self.parsed(key, "a whole number of at least 1", |text| text.parse().ok().filter(|count| *count > 0))
    }

    /// A whole number of at least 0.
    pub(super) fn whole(&mut self, key: &'static str) -> Option<u64> {
        self.parsed(key, "a whole number of at least 0", |text| text.parse().ok())
    }

    /// A number of bytes, more than none.
    pub(super) fn bytes(&mut self, key: &'static str) -> Option<usize> {
        self.parsed(key, "a number of bytes, such as 1048576 or 64MiB", |text| {
            scalar::bytes(text).filter(|bytes| *bytes > 0)
        })
    }

    /// A duration.
    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.parsed(key, "a duration, such as 500 (milliseconds), 500ms, 30s or 1h30m", scalar::duration)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Clone>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let expected = format!("one of {}", names.join(", "));
        self.parsed(key, &expected, |text| {
            words.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone())
        })
    }

    fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let node = self.node(key)?;
        let parsed = scalar_text(node).and_then(|text| parse(text.trim()));
        if parsed.is_none() {
            self.wrong(key, expected, node);
        }
        parsed
    }

    /// A list of texts; one text is taken as a list separated by spaces, as environment variables have it.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let Some(node) = self.node(key) else { return Vec::new() };
        if let Content::Text(text) = &node.content {
            return words(text);
        }
        let here = path::key(&self.path, key);
        let mut texts = Vec::new();
        for (index, item) in self.items(key).iter().enumerate() {
            match scalar_text(item) {
                Some(text) => texts.push(text),
                None => self.report.problems.push(mistyped(&path::item(&here, index), item, "a text")),
            }
        }
        texts
    }

    /// What stands at `key`, as JSON: it is for a plugin to judge.
    pub(super) fn json(&mut self, key: &'static str) -> Option<serde_json::Value> {
        self.node(key).map(Node::json)
    }

    /// A section of any keys, each as JSON.
    pub(super) fn object(&mut self, key: &'static str) -> serde_json::Map<String, serde_json::Value> {
        match self.json(key) {
            None => serde_json::Map::new(),
            Some(serde_json::Value::Object(map)) => map,
            Some(_) => {
                let node = self.node(key);
                node.into_iter().for_each(|node| self.wrong(key, "a section", node));
                serde_json::Map::new()
            }
        }
    }

    /// Refuses a part that this version does not have, unless it is switched off.
    pub(super) fn not_built(&mut self, keys: &[&'static str]) {
        for key in keys {
            self.not_built_but(key, None);
        }
    }

    /// As [`Section::not_built`], saying what to do instead.
    pub(super) fn not_built_but(&mut self, key: &'static str, instead: Option<&'static str>) {
        if self.node(key).is_some_and(|node| !node.is_off()) {
            self.problem(key, Fault::NotBuilt { instead });
        }
    }

    /// Accepts a key that changes nothing here, and says so.
    pub(super) fn without_effect(&mut self, key: &'static str, why: &str) {
        if self.has(key) {
            self.warn(key, why);
        }
    }

    /// Records a problem of a key, there or not.
    pub(super) fn problem(&mut self, key: &'static str, fault: Fault) {
        let problem = self.at(key, fault);
        self.report.problems.push(problem);
    }

    /// Records that the value of a key cannot be.
    pub(super) fn refuse(&mut self, key: &'static str, reason: impl Into<String>) {
        self.problem(key, Fault::Value { reason: reason.into() });
    }

    /// Records something worth a warning.
    pub(super) fn warn(&mut self, key: &'static str, reason: &str) {
        let warning = self.at(key, Fault::Value { reason: reason.to_owned() });
        self.report.warnings.push(warning);
    }

    fn wrong(&mut self, key: &'static str, expected: &str, node: &Node) {
        let problem = mistyped(&path::key(&self.path, key), node, expected);
        self.report.problems.push(problem);
    }

    fn at(&mut self, key: &'static str, fault: Fault) -> Problem {
        let origin = self.node(key).map(|node| &node.origin).or(match self.entries {
            // A section that nobody wrote has no place.
            [] => None,
            _ => self.origin,
        });
        Problem { path: path::key(&self.path, key), origin: origin.cloned(), fault }
    }

    /// Refuses the second of two sections or items that say the same; `of` is its name, `key` the place to show.
    pub(super) fn refuse_twice<K: Hash + Eq>(
        &mut self,
        seen: &mut HashMap<K, ()>,
        name: K,
        key: &'static str,
    ) {
        if seen.insert(name, ()).is_some() {
            self.refuse(key, "stands twice");
        }
    }
}

fn mistyped(path: &str, node: &Node, expected: &str) -> Problem {
    let fault = match &node.content {
        // A scalar may have the right type and yet not be what is wanted.
        Content::Text(_) | Content::Whole(_) | Content::Fraction(_)
            if !matches!(expected, "a section" | "a list" | "a text") =>
        {
            Fault::Type { expected: expected.to_owned(), found: found(node) }
        }
        _ => Fault::Type { expected: expected.to_owned(), found: node.name() },
    };
    Problem { path: path.to_owned(), origin: Some(node.origin.clone()), fault }
}

fn found(node: &Node) -> &'static str {
    match &node.content {
        Content::Text(_) => "another text",
        Content::Whole(number) if *number < 0 => "a negative number",
        Content::Whole(0) => "0",
        _ => "another number",
    }
}

fn scalar_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Text(text) => Some(text.clone()),
        Content::Whole(number) => Some(number.to_string()),
        Content::Fraction(number) => Some(number.to_string()),
        Content::Flag(flag) => Some(flag.to_string()),
        Content::Null | Content::List(_) | Content::Map(_) => None,
    }
}

/// Words separated by spaces; spaces inside double quotes belong to a name.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        if c == '"' {
            quoted = !quoted;
        }
        if c.is_whitespace() && !quoted {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        } else {
            word.push(c);
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The known name that is most like `name`, if one is like it at all.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
