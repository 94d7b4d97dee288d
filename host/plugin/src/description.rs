//! What a plugin tells of itself: its offers and their parameters.

use std::collections::BTreeSet;
use std::fmt;

use crate::words::hidden;

/// The form in which a plugin asks for a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Postgres text form.
    Text,
    /// `bytea` without its hex escapes.
    Bytes,
    /// Whole numbers; dates and timestamps in microseconds since 1970 UTC.
    Ints,
    /// Floating point numbers.
    Floats,
    /// Booleans.
    Bools,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Ints => "ints",
            Self::Floats => "floats",
            Self::Bools => "bools",
        })
    }
}

/// What a plugin is: the interface that it exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PluginKind {
    /// Finds identities and versions of rows.
    Injector,
    /// Decides which tables and rows go on.
    Filter,
    /// Changes values.
    Transformer,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Injector => "injector",
            Self::Filter => "filter",
            Self::Transformer => "transformer",
        })
    }
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Flag,
    /// A list of strings.
    TextList,
    /// The name of a column of the same table.
    Column,
    /// Anything.
    Json,
}

impl fmt::Display for ParameterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::TextList => "a list of texts",
            Self::Column => "the name of a column",
            Self::Json => "any value",
        })
    }
}

/// One parameter of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// For people.
    pub summary: String,
    /// What it takes.
    pub kind: ParameterKind,
    /// Must be given.
    pub required: bool,
    /// May be read from another column of the row.
    pub dynamic: bool,
    /// In JSON.
    pub default: Option<String>,
    /// The allowed values in JSON; empty for any.
    pub one_of: Vec<String>,
}

/// What becomes of distinct values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniqueness {
    /// They stay distinct.
    Preserved,
    /// They may collide, but it is unlikely.
    Likely,
    /// They are meant to collide.
    Lost,
}

/// One thing that a rule can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its name, such as `mask` or `people/first-name`.
    pub name: String,
    /// For people.
    pub summary: String,
    /// Shapes that it takes, best first; empty for a filter or an injector.
    pub accepts: Vec<Shape>,
    /// What becomes of distinct values.
    pub uniqueness: Uniqueness,
    /// The same value in gives the same value out.
    pub deterministic: bool,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// What a plugin tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// For people.
    pub summary: String,
    /// What rules can name.
    pub offers: Vec<Offer>,
}

/// The longest name, in bytes.
const NAME: usize = 100;

/// The most that a plugin may say of itself, in bytes; an entry of a list counts as some.
const WORDS: usize = 256 << 10;

impl Description {
    /// An offer by name.
    #[must_use]
    pub fn offer(&self, name: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| offer.name == name)
    }

    /// What is wrong with it, if anything.
    pub(crate) fn flaw(&self) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("it has no name".into());
        }
        let weight = self.weight();
        if weight > WORDS {
            return Some(format!("it takes {weight} bytes to do so, and {WORDS} are allowed"));
        }
        if let Some(flaw) = unfit(&self.name).or_else(|| unfit(&self.version)) {
            return Some(format!("its name or version {flaw}"));
        }
        if self.offers.is_empty() {
            return Some("it offers nothing".into());
        }
        let mut seen = BTreeSet::new();
        for offer in &self.offers {
            if offer.name.trim().is_empty() {
                return Some("an offer has no name".into());
            }
            if let Some(flaw) = unfit(&offer.name) {
                return Some(format!("the name of an offer {flaw}"));
            }
            if !seen.insert(offer.name.as_str()) {
                return Some(format!("the offer `{}` is there twice", offer.name));
            }
            let mut names = BTreeSet::new();
            for parameter in &offer.parameters {
                if let Some(flaw) = parameter.flaw() {
                    return Some(format!("offer `{}`: {flaw}", offer.name));
                }
                if !names.insert(parameter.name.as_str()) {
                    return Some(format!(
                        "offer `{}`: the parameter `{}` is there twice",
                        offer.name, parameter.name
                    ));
                }
            }
        }
        None
    }
}

impl Description {
    fn weight(&self) -> usize {
        let parameter = |parameter: &Parameter| {
            let allowed: usize = parameter.one_of.iter().map(|text| text.len() + 16).sum();
            let default = parameter.default.as_ref().map_or(0, String::len);
            64 + parameter.name.len() + parameter.summary.len() + default + allowed
        };
        let offer = |offer: &Offer| {
            let parameters: usize = offer.parameters.iter().map(parameter).sum();
            64 + offer.name.len() + offer.summary.len() + offer.accepts.len() + parameters
        };
        let offers: usize = self.offers.iter().map(offer).sum();
        self.name.len() + self.version.len() + self.summary.len() + offers
    }
}

/// Why a name cannot stand in the lines of a log.
fn unfit(name: &str) -> Option<String> {
    if name.len() > NAME {
        return Some(format!("is longer than {NAME} bytes"));
    }
    name.contains(hidden).then(|| "has control characters".to_owned())
}

impl Parameter {
    fn flaw(&self) -> Option<String> {
        if self.name.trim().is_empty() {
            return Some("a parameter has no name".into());
        }
        if let Some(flaw) = unfit(&self.name) {
            return Some(format!("the name of a parameter {flaw}"));
        }
        let not_json = |text: &String| serde_json::from_str::<serde_json::Value>(text).is_err();
        if self.default.as_ref().is_some_and(not_json) || self.one_of.iter().any(not_json) {
            return Some(format!("the default or an allowed value of `{}` is not JSON", self.name));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str) -> Offer {
        Offer {
            name: name.into(),
            summary: String::new(),
            accepts: vec![Shape::Text],
            uniqueness: Uniqueness::Likely,
            deterministic: true,
            parameters: Vec::new(),
        }
    }

    fn description(offers: Vec<Offer>) -> Description {
        Description { name: "p".into(), version: "1".into(), summary: String::new(), offers }
    }

    #[test]
    fn flaws_are_named() {
        assert_eq!(description(vec![offer("a"), offer("b")]).flaw(), None);
        assert_eq!(description(vec![]).flaw().unwrap(), "it offers nothing");
        assert_eq!(description(vec![offer("a"), offer("a")]).flaw().unwrap(), "the offer `a` is there twice");
        assert_eq!(description(vec![offer(" ")]).flaw().unwrap(), "an offer has no name");
        assert_eq!(
            description(vec![offer("a\nb")]).flaw().unwrap(),
            "the name of an offer has control characters"
        );
        assert!(description(vec![offer(&"a".repeat(101))]).flaw().unwrap().contains("longer than 100 bytes"));
        let many = (0..5_000).map(|at| offer(&at.to_string())).collect();
        assert!(description(many).flaw().unwrap().contains("262144 are allowed"));
        let mut bad = offer("a");
        bad.parameters.push(Parameter {
            name: "n".into(),
            summary: String::new(),
            kind: ParameterKind::Text,
            required: false,
            dynamic: false,
            default: Some("not json".into()),
            one_of: Vec::new(),
        });
        assert!(description(vec![bad]).flaw().unwrap().contains("is not JSON"));
    }
}
