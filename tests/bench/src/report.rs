//! The tables for people, the samples as JSON, and the targets.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::Arguments;
use crate::machine;

/// What a figure should be.
#[derive(Clone, Copy)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bound {
    /// "met", or by how much it is missed.
    pub fn verdict(self, figure: f64) -> String {
        let (met, limit) = match self {
            Self::AtLeast(limit) => (figure >= limit, limit),
            Self::AtMost(limit) => (figure <= limit, limit),
        };
        if met {
            "met".to_owned()
        } else {
            format!("missed by {:.1} %", (figure / limit - 1.0).abs() * 100.0)
        }
    }
}

struct Target {
    what: String,
    unit: &'static str,
    bound: Bound,
    figure: f64,
}

/// What has been measured so far.
pub struct Report {
    machine: Value,
    parts: Map<String, Value>,
    targets: Vec<Target>,
    json: Option<PathBuf>,
    run: Value,
}

impl Report {
    /// Nothing yet.
    pub fn new(arguments: &Arguments) -> Self {
        let machine = machine::facts(arguments.major);
        eprintln!("{machine}");
        let run = json!({"rounds": arguments.rounds, "scale": arguments.scale, "quick": arguments.quick});
        Self { machine, parts: Map::new(), targets: Vec::new(), json: arguments.json.clone(), run }
    }

    /// A part is done: shows its table and keeps its samples, on the disk too, since a later part may end the run.
    pub fn part(&mut self, name: &str, table: &str, samples: Value) -> testbed::Result<()> {
        println!("\n{table}");
        self.parts.insert(name.to_owned(), samples);
        self.write()
    }

    /// A figure that has a target. Returns the verdict, for the table.
    pub fn target(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        bound: Bound,
        figure: f64,
    ) -> String {
        self.targets.push(Target { what: what.into(), unit, bound, figure });
        bound.verdict(figure)
    }

    /// The list of targets.
    pub fn finish(&self) {
        if self.targets.is_empty() {
            return;
        }
        println!("\n{:<58}{:>11}{:>11}  verdict", "TARGETS", "target", "measured");
        for Target { what, unit, bound, figure } in &self.targets {
            let limit = match bound {
                Bound::AtLeast(limit) => format!(">= {limit}{unit}"),
                Bound::AtMost(limit) => format!("<= {limit}{unit}"),
            };
            let digits = if *figure < 100.0 { 2 } else { 0 };
            let measured = format!("{figure:.digits$}{unit}");
            println!("{what:<58}{limit:>11}{measured:>11}  {}", bound.verdict(*figure));
        }
    }

    fn write(&self) -> testbed::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let targets: Vec<Value> = self
            .targets
            .iter()
            .map(|Target { what, unit, bound, figure }| {
                let (kind, limit) = match bound {
                    Bound::AtLeast(limit) => ("at least", limit),
                    Bound::AtMost(limit) => ("at most", limit),
                };
                json!({"what": what, "unit": unit.trim(), "bound": kind, "target": limit, "measured": figure,
                       "verdict": bound.verdict(*figure)})
            })
            .collect();
        let all = json!({"machine": self.machine, "run": self.run, "parts": self.parts, "targets": targets});
        let text = serde_json::to_string_pretty(&all).unwrap_or_default();
        std::fs::write(path, text + "\n").map_err(|source| testbed::Error::File {
            action: "write",
            path: path.clone(),
            source,
        })
    }
}
