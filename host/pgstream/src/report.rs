//! How an error is told: what, why, and what to do about it.

use std::error::Error;
use std::io::Write;

use miette::Diagnostic;

use crate::telemetry::{Format, Logging};

/// Writes an error to stderr, as text or, with JSON logs, as one JSON line.
pub fn print(error: &dyn Diagnostic, logging: &Logging) {
    let text = match logging.format {
        Format::Console => human(error, logging.colored()),
        Format::Json => json(error),
    };
    // When stderr is gone there is nowhere left to say so.
    let _gone = std::io::stderr().lock().write_all(text.as_bytes());
}

/// `error[code]: text`, then its problems, causes and remedy.
fn human(error: &dyn Diagnostic, colored: bool) -> String {
    let (red, bold, plain) = if colored { ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m") } else { ("", "", "") };
    let code = error.code().map(|code| format!("[{code}]")).unwrap_or_default();
    let mut problems = error.related().into_iter().flatten().peekable();
    let mut told = error.to_string();
    if problems.peek().is_some() {
        // What follows is their list; some errors have it in their text too.
        told.truncate(told.find('\n').unwrap_or(told.len()));
    }
    let mut text = format!("{red}error{code}{plain}{bold}: {told}{plain}\n");
    for problem in problems {
        text.push_str(&format!("  - {problem}\n"));
        if let Some(remedy) = problem.help() {
            text.push_str(&format!("    remedy: {remedy}\n"));
        }
    }
    for cause in causes(error) {
        text.push_str(&format!("  cause: {cause}\n"));
    }
    if let Some(remedy) = error.help() {
        text.push_str(&format!("  remedy: {remedy}\n"));
    }
    text
}

/// The same as one line of JSON.
fn json(error: &dyn Diagnostic) -> String {
    let mut line = serde_json::Map::new();
    line.insert("level".to_owned(), "ERROR".into());
    describe(error, &mut line);
    let problems: Vec<serde_json::Value> = error
        .related()
        .into_iter()
        .flatten()
        .map(|problem| {
            let mut object = serde_json::Map::new();
            describe(problem, &mut object);
            object.into()
        })
        .collect();
    if !problems.is_empty() {
        line.insert("problems".to_owned(), problems.into());
    }
    format!("{}\n", serde_json::Value::Object(line))
}

fn describe(error: &dyn Diagnostic, object: &mut serde_json::Map<String, serde_json::Value>) {
    object.insert("code".to_owned(), error.code().map(|code| code.to_string()).into());
    object.insert("message".to_owned(), error.to_string().into());
    let causes = causes(error);
    if !causes.is_empty() {
        object.insert("causes".to_owned(), causes.into());
    }
    object.insert("remedy".to_owned(), error.help().map(|remedy| remedy.to_string()).into());
}

/// The chain of sources, without those that only repeat the one before.
fn causes(error: &dyn Diagnostic) -> Vec<String> {
    let mut causes = Vec::new();
    let mut told = error.to_string();
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !told.ends_with(&text) {
            causes.push(text.clone());
        }
        told = text;
        source = cause.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn unreadable() -> config::Error {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "no such file");
        config::Error::Unreadable { path: "a.yaml".into(), source }
    }

    #[test]
    fn an_error_has_code_cause_and_remedy() {
        insta::assert_snapshot!(human(&unreadable(), false));
        insta::assert_snapshot!(json(&unreadable()));
    }

    #[test]
    fn problems_are_listed_below_it() {
        let fault = config::Fault::Unknown { what: "key", nearest: Some("url".into()) };
        let problem = config::Problem { path: "source.postgres.urll".into(), origin: None, fault };
        let error = config::Error::Invalid { problems: vec![problem] };
        insta::assert_snapshot!(human(&error, false));
        insta::assert_snapshot!(json(&error));
    }

    #[test]
    fn colour_is_only_added_when_asked_for() {
        assert!(human(&unreadable(), true).starts_with("\u{1b}[1;31merror[config::unreadable]"));
        assert!(!human(&unreadable(), false).contains('\u{1b}'));
    }
}
