//! The configuration: file, environment and flags in, a [`Ready`] or the list of everything that is wrong out.
//!
//! A YAML file becomes a tree that knows the place of each setting. Variables, then flags, are put over it, and
//! one reader makes the ready types of it. What the original knows and this version does not have is refused
//! by name, never ignored.

mod dotenv;
mod expand;
mod lines;
mod modifiers;
mod node;
mod path;
mod plugins;
mod problem;
mod ready;
mod scalar;
mod section;
mod snapshot;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::node::{Content, Node};
use self::ready::Destination;
use self::section::Report;
use crate::telemetry::Logging;

pub use self::problem::{Error, Fault, Origin, Problem};
pub use self::ready::{
    BATCH_BYTES, BATCH_ROWS, FIRST_PAUSE, LONGEST_PAUSE, Loaded, Mode, Print, QUEUE_BYTES, RANGE_BYTES,
    Ready, Retry, Run, SchemaCopy, Snapshot, Source, Target, WAL_WARNING_BYTES, WORKERS, What,
};
pub(crate) use self::section::Section;

/// One flag that was given.
#[derive(Clone, Debug)]
pub struct Given {
    /// The flag, as in `--source-url`.
    pub flag: &'static str,
    /// The place that it sets.
    pub path: &'static [&'static str],
    /// To what.
    pub text: String,
}

/// Where a configuration is taken from. Flags win over the environment, which wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Flags.
    pub flags: Vec<Given>,
    /// Components given by `--plugin`, relative to the current folder.
    pub plugins: Vec<PathBuf>,
    /// `--accept-changed-modifiers`.
    pub accept_changed_modifiers: bool,
    /// What the command does, whatever the file says: `pgstream snapshot`.
    pub mode: Option<Mode>,
}

impl Input {
    /// Everything, for `run`.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, or the list of everything that is wrong.
    pub fn run(&self) -> Result<Loaded<Run>, Error> {
        let Loaded { ready: Parts { source, target, modifiers }, logging, warnings } = self.read(true)?;
        let (Some(source), Some(target)) = (source, target) else {
            // Either is missing only with a problem, and problems are errors.
            return Err(Error::Invalid { problems: Vec::new() });
        };
        let accept_changed_modifiers = self.accept_changed_modifiers;
        let ready = match target {
            Destination::Postgres(target) => {
                Run::Apply(Box::new(Ready { source, target: *target, modifiers, accept_changed_modifiers }))
            }
            Destination::Stdout { .. } if source.mode == Mode::SnapshotAndReplication => {
                return Err(no_state());
            }
            Destination::Stdout { queue_bytes } => {
                Run::Print(Box::new(Print { source, modifiers, queue_bytes }))
            }
        };
        Ok(Loaded { ready, logging, warnings })
    }

    /// Everything, for what needs a database as its target.
    ///
    /// # Errors
    /// As [`Input::run`], and another target.
    pub fn ready(&self) -> Result<Loaded<Ready>, Error> {
        let Loaded { ready, logging, warnings } = self.run()?;
        match ready {
            Run::Apply(ready) => Ok(Loaded { ready: *ready, logging, warnings }),
            Run::Print(_) => Err(no_database()),
        }
    }

    /// The source, and the target if there is one: for `init`, `status` and `destroy`.
    ///
    /// # Errors
    /// As [`Input::ready`].
    pub fn ends(&self) -> Result<Loaded<(Source, Option<Target>)>, Error> {
        let loaded = self.read(false)?;
        let Some(source) = loaded.ready.source else {
            return Err(Error::Invalid { problems: Vec::new() });
        };
        let target = match loaded.ready.target {
            Some(Destination::Postgres(target)) => Some(*target),
            Some(Destination::Stdout { .. }) | None => None,
        };
        Ok(Loaded { ready: (source, target), logging: loaded.logging, warnings: loaded.warnings })
    }

    /// Source and target, both of which must be there.
    ///
    /// # Errors
    /// Every mistake.
    pub fn both_ends(&self) -> Result<Loaded<(Source, Target)>, Error> {
        let Loaded { ready: Ready { source, target, .. }, logging, warnings } = self.ready()?;
        Ok(Loaded { ready: (source, target), logging, warnings })
    }

    fn read(&self, target_required: bool) -> Result<Loaded<Parts>, Error> {
        let mut report = Report::default();
        let tree = self.tree(&mut report)?;
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let is_yaml = self.file.as_deref().is_some_and(is_yaml);
        let (ready, logging) = Section::root(&tree, &mut report, |root| {
            let logging = Logging::read(root);
            root.not_built(&["instrumentation"]);
            let source = source::read(root, is_yaml, self.mode);
            let target = target::read(root, target_required);
            let url = source.as_ref().map(|source| &source.wal.url);
            let mut modifiers = modifiers::read(root, url);
            modifiers.plugins = plugins::read(root, folder);
            modifiers.root_key = plugins::read_root_key(root, folder, &self.environment);
            modifiers.secret = seed(source.as_ref(), modifiers.root_key.as_ref());
            (Parts { source, target, modifiers }, logging)
        });
        if report.problems.is_empty() {
            return Ok(Loaded { ready, logging, warnings: report.warnings });
        }
        Err(Error::Invalid { problems: report.problems })
    }

    /// The file with environment and flags over it.
    fn tree(&self, report: &mut Report) -> Result<Node, Error> {
        let mut tree = match &self.file {
            Some(file) => self.parse(file, report)?,
            None => Node::empty(Origin::Variable("PGSTREAM_CONFIG".to_owned())),
        };
        if let Some(file) = self.environment.get(variables::RULES_FILE).filter(|file| !file.is_empty()) {
            let rules = self.parse_rules(Path::new(file), report)?;
            tree.set(&["modifiers", "transformations"], rules);
        }
        variables::apply_environment(
            &self.environment,
            &mut tree,
            &mut report.problems,
            &mut report.warnings,
        );
        for given in &self.flags {
            tree.set(given.path, Node::text(given.text.as_str(), Origin::Flag(given.flag)));
        }
        self.add_plugins(&mut tree);
        Ok(tree)
    }

    fn parse(&self, file: &Path, report: &mut Report) -> Result<Node, Error> {
        let name: Arc<Path> = Arc::from(file);
        if is_yaml(file) {
            return self.parse_yaml(&read(file)?, &name, report);
        }
        let ends_with_env = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".env"));
        if !ends_with_env {
            return Err(Error::Form { path: file.to_owned() });
        }
        let variables = dotenv::parse(&read(file)?, file)?;
        let mut tree = Node::empty(Origin::File(Arc::clone(&name), None));
        let rules = variables.iter().find(|(variable, ..)| variable == variables::RULES_FILE).cloned();
        if let Some((_, rules, _)) = rules {
            let rules = self.parse_rules(Path::new(&rules), report)?;
            tree.set(&["modifiers", "transformations"], rules);
        }
        let with_origin =
            |(variable, value, line)| (variable, value, Origin::File(Arc::clone(&name), Some(line)));
        let variables = variables.into_iter().map(with_origin).collect();
        variables::apply_file(variables, &mut tree, &mut report.problems);
        Ok(tree)
    }

    /// A file of rules: the content of `transformations`, with or without that key above it.
    fn parse_rules(&self, file: &Path, report: &mut Report) -> Result<Node, Error> {
        let tree = self.parse_yaml(&read(file)?, &Arc::from(file), report)?;
        let inner = tree.find(&["modifiers", "transformations"]).or_else(|| tree.find(&["transformations"]));
        Ok(inner.cloned().unwrap_or(tree))
    }

    fn parse_yaml(&self, text: &str, file: &Arc<Path>, report: &mut Report) -> Result<Node, Error> {
        node::parse_yaml(text, file, &|name| self.environment.get(name).cloned(), &mut report.problems)
    }

    fn add_plugins(&self, tree: &mut Node) {
        if self.plugins.is_empty() {
            return;
        }
        let origin = Origin::Flag("--plugin");
        let mut items = match tree.find(&["plugins"]).map(|node| &node.content) {
            Some(Content::List(items)) => items.clone(),
            Some(Content::Null) | None => Vec::new(),
            // It is wrong, and will be told.
            Some(_) => return,
        };
        for file in &self.plugins {
            // Absolute: a path in the file is relative to the file, one on the command line is not.
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let mut item = Node::empty(origin.clone());
            item.set(&["use"], Node::text(file.to_string_lossy(), origin.clone()));
            items.push(item);
        }
        tree.set(&["plugins"], Node { content: Content::List(items), origin });
    }
}

/// What was read, complete or not.
struct Parts {
    source: Option<Source>,
    target: Option<Destination>,
    modifiers: modify::Options,
}

/// The configuration names no database to write to.
fn no_database() -> Error {
    let fault =
        Fault::Value { reason: "expected target.postgres: stdout has no state to look at".to_owned() };
    Error::Invalid { problems: vec![Problem { path: "target.stdout".to_owned(), origin: None, fault }] }
}

/// A copy to stdout, whose end nothing would know.
fn no_state() -> Error {
    let reason = "expected replication or snapshot: stdout keeps no note of what is copied; run `pgstream init`, then `pgstream \
                  snapshot`, then `pgstream run`, and what changed meanwhile comes twice";
    let fault = Fault::Value { reason: reason.to_owned() };
    Error::Invalid {
        problems: vec![Problem { path: "source.postgres.mode".to_owned(), origin: None, fault }],
    }
}

/// What plugins' random numbers start from: the same each time this pipeline runs.
fn seed(source: Option<&Source>, root_key: Option<&plugin::RootKey>) -> Vec<u8> {
    match (root_key, source) {
        (Some(key), _) => key.derive("pgstream/seed").to_vec(),
        (None, Some(source)) => format!("{}/{}", source.wal.url.database, source.wal.slot).into_bytes(),
        (None, None) => Vec::new(),
    }
}

fn is_yaml(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|source| Error::Unreadable { path: file.to_owned(), source })
}
