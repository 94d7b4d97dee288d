//! Settings against the description of an offer: names, kinds, allowed values.

use plugin::{Offer, Parameter, ParameterKind};
use serde_json::{Map, Value};

use crate::Problem;
use crate::nearest::hint;

/// The settings for `bind`, names with values in JSON; what is wrong goes into `problems`.
pub(crate) fn settings(
    place: &str,
    offer: &Offer,
    parameters: &Map<String, Value>,
    dynamic: &[(String, String)],
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in parameters {
        let Some(parameter) = find(place, offer, name, problems) else { continue };
        if let Some(problem) = check(place, offer, parameter, value) {
            problems.push(problem);
        }
        settings.push((name.clone(), value.to_string()));
    }
    for (name, column) in dynamic {
        let Some(parameter) = find(place, offer, name, problems) else { continue };
        if !parameter.dynamic {
            problems.push(Problem::NotDynamic {
                place: place.into(),
                offer: offer.name.clone(),
                name: name.clone(),
            });
        }
        let mut value = serde_json::json!({ "column": column });
        // What the rule falls back on where the column is null.
        if let (Some(fallback), Some(value)) = (parameters.get(name), value.as_object_mut()) {
            value.insert("default".into(), fallback.clone());
        }
        settings.retain(|(other, _)| other != name);
        settings.push((name.clone(), value.to_string()));
    }
    for parameter in offer.parameters.iter().filter(|parameter| parameter.required) {
        if !settings.iter().any(|(name, _)| *name == parameter.name) {
            problems.push(Problem::MissingParameter {
                place: place.into(),
                offer: offer.name.clone(),
                name: parameter.name.clone(),
                summary: parameter.summary.clone(),
            });
        }
    }
    settings
}

fn find<'a>(place: &str, offer: &'a Offer, name: &str, problems: &mut Vec<Problem>) -> Option<&'a Parameter> {
    let parameter = offer.parameters.iter().find(|parameter| parameter.name == name);
    if parameter.is_none() {
        problems.push(Problem::UnknownParameter {
            place: place.into(),
            offer: offer.name.clone(),
            name: name.into(),
            hint: hint(
                name,
                offer.parameters.iter().map(|parameter| parameter.name.as_str()),
                "it has no parameters",
            ),
        });
    }
    parameter
}

fn check(place: &str, offer: &Offer, parameter: &Parameter, value: &Value) -> Option<Problem> {
    let fits = match parameter.kind {
        ParameterKind::Text | ParameterKind::Column => value.is_string(),
        ParameterKind::Integer => value.is_i64() || value.is_u64(),
        ParameterKind::Number => value.is_number(),
        ParameterKind::Flag => value.is_boolean(),
        ParameterKind::TextList => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        ParameterKind::Json => true,
    };
    if !fits {
        return Some(Problem::ParameterKind {
            place: place.into(),
            offer: offer.name.clone(),
            name: parameter.name.clone(),
            kind: parameter.kind,
            got: kind_of(value),
        });
    }
    let allowed = |text: &String| serde_json::from_str::<Value>(text).is_ok_and(|allowed| allowed == *value);
    if parameter.one_of.is_empty() || parameter.one_of.iter().any(allowed) {
        return None;
    }
    Some(Problem::ParameterValue {
        place: place.into(),
        offer: offer.name.clone(),
        name: parameter.name.clone(),
        allowed: parameter.one_of.join(", "),
    })
}

/// The value itself may be a key.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a whole number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
