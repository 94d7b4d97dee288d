//! Parameters of a plugin: declared once, in a table from which both `describe` and the check in `bind` are made, so
//! that the two cannot disagree.
//!
//! Values arrive as JSON and are never coerced: `5` is not a text and `"5"` is not a number. No message repeats a
//! value, since a parameter may be a key.

/// What kind of value a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JSON string.
    Text,
    /// A JSON array of strings.
    TextList,
    /// A JSON string: the name of a column of the table.
    Column,
}

/// One parameter of an offer.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As a rule writes it.
    pub name: &'static str,
    /// One line for a listing.
    pub summary: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// A rule without it is refused.
    pub required: bool,
    /// The value of a rule without it, in JSON.
    pub default: Option<&'static str>,
    /// The allowed texts; empty for any.
    pub one_of: &'static [&'static str],
}

impl Parameter {
    /// A parameter that a rule may leave out.
    pub const fn optional(name: &'static str, kind: Kind, summary: &'static str) -> Self {
        Self { name, summary, kind, required: false, default: None, one_of: &[] }
    }

    /// A parameter that a rule must have.
    pub const fn required(name: &'static str, kind: Kind, summary: &'static str) -> Self {
        Self { required: true, ..Self::optional(name, kind, summary) }
    }

    /// Its value, in JSON, where a rule leaves it out.
    pub const fn default(self, json: &'static str) -> Self {
        Self { default: Some(json), ..self }
    }

    /// The only texts it takes.
    pub const fn one_of(self, texts: &'static [&'static str]) -> Self {
        Self { one_of: texts, ..self }
    }

    /// The allowed values in JSON, as `describe` gives them.
    pub fn one_of_json(&self) -> Vec<String> {
        self.one_of.iter().map(|text| format!("\"{text}\"")).collect()
    }
}

#[derive(Debug)]
enum Value {
    Text(String),
    TextList(Vec<String>),
}

/// The settings of one rule, checked.
#[derive(Debug)]
pub struct Settings(Vec<(&'static str, Value)>);

impl Settings {
    /// Checks what a rule for `offer` sets against the parameters that the offer declares.
    pub fn read(
        offer: &str,
        declared: &'static [Parameter],
        given: &[(String, String)],
    ) -> Result<Self, String> {
        let mut values: Vec<(&'static str, Value)> = Vec::with_capacity(given.len());
        for (name, json) in given {
            let Some(parameter) = declared.iter().find(|parameter| parameter.name == name) else {
                return Err(unknown(offer, declared, name));
            };
            if values.iter().any(|(seen, _)| seen == name) {
                return Err(format!("{offer}: parameter \"{name}\" is given twice"));
            }
            values.push((parameter.name, value(offer, parameter, json)?));
        }
        for parameter in declared {
            if values.iter().any(|(name, _)| *name == parameter.name) {
                continue;
            }
            match parameter.default {
                Some(json) => values.push((parameter.name, value(offer, parameter, json)?)),
                None if parameter.required => {
                    return Err(format!(
                        "{offer}: parameter \"{}\" is missing: {}",
                        parameter.name, parameter.summary
                    ));
                }
                None => {}
            }
        }
        Ok(Self(values))
    }

    /// The text of a parameter of kind text or column; none where the rule leaves it out.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(key, value)| match value {
            Value::Text(text) if *key == name => Some(text.as_str()),
            _ => None,
        })
    }

    /// The texts of a parameter of kind text list; none where the rule leaves it out.
    pub fn text_list(&self, name: &str) -> &[String] {
        let list = self.0.iter().find_map(|(key, value)| match value {
            Value::TextList(list) if *key == name => Some(list.as_slice()),
            _ => None,
        });
        list.unwrap_or_default()
    }
}

fn unknown(offer: &str, declared: &[Parameter], name: &str) -> String {
    if declared.is_empty() {
        return format!("{offer}: unexpected parameter \"{name}\": it takes none");
    }
    let known: Vec<_> = declared.iter().map(|parameter| parameter.name).collect();
    format!("{offer}: unexpected parameter \"{name}\": it takes {}", known.join(", "))
}

fn value(offer: &str, parameter: &Parameter, json: &str) -> Result<Value, String> {
    let name = parameter.name;
    match parameter.kind {
        Kind::Text | Kind::Column => {
            let text: String = serde_json::from_str(json).map_err(|_| {
                let what = if parameter.kind == Kind::Column { "the name of a column" } else { "a text" };
                format!("{offer}: parameter \"{name}\" must be {what} (a number or a flag is not made into one: put it in quotes)")
            })?;
            if !parameter.one_of.is_empty() && !parameter.one_of.contains(&text.as_str()) {
                return Err(format!(
                    "{offer}: unknown {name} \"{text}\": it must be one of {}",
                    parameter.one_of.join(", ")
                ));
            }
            Ok(Value::Text(text))
        }
        Kind::TextList => match serde_json::from_str(json) {
            Ok(list) => Ok(Value::TextList(list)),
            Err(_) => Err(format!("{offer}: parameter \"{name}\" must be a list of texts")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECLARED: &[Parameter] = &[
        Parameter::optional("type", Kind::Text, "which").default("\"default\"").one_of(&["default", "name"]),
        Parameter::required("key", Kind::Text, "64 bytes"),
        Parameter::optional("tables", Kind::TextList, "which tables"),
    ];

    fn read(given: &[(&str, &str)]) -> Result<Settings, String> {
        let given: Vec<_> =
            given.iter().map(|(name, json)| ((*name).to_owned(), (*json).to_owned())).collect();
        Settings::read("offer", DECLARED, &given)
    }

    #[test]
    fn a_default_stands_in_for_what_a_rule_leaves_out() {
        let settings = read(&[("key", "\"k\\u00e9\\n\"")]).unwrap();
        assert_eq!(settings.text("type"), Some("default"));
        assert_eq!(settings.text("key"), Some("ké\n"));
        assert!(settings.text_list("tables").is_empty());
    }

    #[test]
    fn what_is_not_declared_or_not_of_its_kind_is_refused_without_its_value() {
        let refused = |given: &[(&str, &str)]| read(given).unwrap_err();
        assert_eq!(
            refused(&[("keys", "\"secret\"")]),
            "offer: unexpected parameter \"keys\": it takes type, key, tables"
        );
        assert_eq!(refused(&[]), "offer: parameter \"key\" is missing: 64 bytes");
        assert!(refused(&[("key", "1"), ("key", "1")]).contains("must be a text"));
        assert_eq!(refused(&[("key", "\"a\""), ("key", "\"a\"")]), "offer: parameter \"key\" is given twice");
        assert_eq!(
            refused(&[("key", "\"a\""), ("tables", "\"t\"")]),
            "offer: parameter \"tables\" must be a list of texts"
        );
        assert_eq!(
            refused(&[("key", "\"a\""), ("type", "\"nope\"")]),
            "offer: unknown type \"nope\": it must be one of default, name"
        );
        for json in ["5", "true", "null", "[\"a\"]", "not json 5ecret"] {
            assert!(!refused(&[("key", json)]).contains("5ecret"));
        }
    }
}
