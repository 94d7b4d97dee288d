//! The chain: plugins loaded once, tables bound as they appear, batches passed through.

mod barrier;
mod gone;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use event::{Batch, Relation, Step, TableName};
use plugin::{Engine, RootKey};

pub use gone::Gone;

use crate::digest;
use crate::loaded::Loaded;
use crate::rules::Rules;
use crate::table::{Fate, Table};
use crate::{
    Counters, Error, Failures, Options, PluginCounters, Problem, Report, filter, inject, nearest, transform,
};

/// How many versions of one table stay bound: a restart reads the last transactions again, and with them the
/// versions of before.
const VERSIONS: usize = 4;

/// All plugins and rules of a pipeline. It outlives a restart of the pipeline, so that nothing is loaded twice.
///
/// Its calls block, and run WebAssembly: use a plain thread, never one that drives an async runtime.
pub struct Chain {
    loaded: Loaded,
    rules: Rules,
    root: Option<RootKey>,
    digest: [u8; 32],
    tables: Tables,
    /// Columns of tables without rules at the start, where those may not change.
    unlisted: BTreeMap<TableName, Vec<String>>,
    /// Tables with rules, by oid: under another name one would have none.
    ruled: HashMap<u32, TableName>,
    /// Tables, and columns of tables, that were dropped: their rules have nothing to do.
    gone: Vec<Gone>,
    counters: Counters,
    failures: Vec<Failures>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("plugins", &self.loaded.running).finish_non_exhaustive()
    }
}

/// What becomes of a table's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// No filter and no rule looks at them.
    AsTheyAre,
    /// They have to go through the chain.
    Through,
    /// A filter keeps the table and drops its rows.
    SchemaOnly,
    /// A filter drops the table.
    Nowhere,
}

/// Bound tables.
#[derive(Default)]
struct Tables {
    bound: Vec<Table>,
    /// By the address of the relation, which `bound` keeps alive.
    by_address: HashMap<usize, usize>,
}

impl Tables {
    /// By address, else by value: a reconnect makes new relations of the same tables.
    fn find(&mut self, relation: &Arc<Relation>) -> Option<usize> {
        if let Some(at) = self.by_address.get(&address(relation)) {
            return Some(*at);
        }
        let at = self.bound.iter().position(|table| table.relation == *relation)?;
        if let Some(table) = self.bound.get_mut(at) {
            self.by_address.remove(&address(&table.relation));
            table.relation = Arc::clone(relation);
            self.by_address.insert(address(relation), at);
        }
        Some(at)
    }

    fn push(&mut self, table: Table) -> usize {
        let at = self.bound.len();
        self.by_address.insert(address(&table.relation), at);
        self.bound.push(table);
        at
    }

    fn remove(&mut self, at: usize) -> Table {
        let table = self.bound.remove(at);
        let bound = self.bound.iter().enumerate();
        self.by_address = bound.map(|(at, table)| (address(&table.relation), at)).collect();
        table
    }
}

fn address(relation: &Arc<Relation>) -> usize {
    Arc::as_ptr(relation) as usize
}

impl Chain {
    /// Loads the plugins and checks the rules as far as that goes without the tables.
    ///
    /// # Errors
    /// All problems at once: files that are no plugins, unknown transformers and parameters, rules that collide.
    pub fn load(options: &Options) -> Result<Self, Error> {
        let engine = Engine::new(&options.cache).map_err(Problem::from)?;
        let mut problems = Vec::new();
        let loaded = Loaded::load(&engine, options, &mut problems);
        // An unknown transformer may be the offer of a plugin that could not be loaded: say that first.
        Error::of(std::mem::take(&mut problems))?;
        let rules = match &options.transformations {
            Some(transformations) => Rules::resolve(transformations, &loaded, &mut problems),
            None => Rules::default(),
        };
        Error::of(problems)?;
        let digest = digest::of(&loaded, &rules, options.root_key.as_ref());
        let failures = vec![Failures::default(); loaded.running.len()];
        Ok(Self {
            loaded,
            rules,
            root: options.root_key.clone(),
            digest,
            tables: Tables::default(),
            unlisted: BTreeMap::new(),
            ruled: HashMap::new(),
            gone: Vec::new(),
            counters: Counters::default(),
            failures,
        })
    }

    /// Binds every plugin to the tables that the source publishes. Everything that can be wrong is refused here,
    /// before a row flows.
    ///
    /// # Errors
    /// All problems at once.
    pub fn bind(&mut self, relations: &[Arc<Relation>]) -> Result<Report, Error> {
        let names: Vec<TableName> = relations.iter().map(|relation| relation.name.clone()).collect();
        self.bind_some(relations, &names)
    }

    /// The same for some of the tables that there are: a rule may be for any of `names`.
    ///
    /// # Errors
    /// All problems at once.
    pub fn bind_some(&mut self, relations: &[Arc<Relation>], names: &[TableName]) -> Result<Report, Error> {
        let mut problems = Vec::new();
        for rules in &self.rules.tables {
            if !names.contains(&rules.table) && !self.is_gone(&rules.table) {
                let names: Vec<String> = names.iter().map(TableName::to_string).collect();
                let table = rules.table.to_string();
                let hint = nearest::hint(&table, names.iter().map(String::as_str), "no table is replicated");
                problems.push(Problem::MissingTable { table, hint });
            }
        }
        let mut at = Vec::new();
        for relation in relations {
            at.extend(self.bind_one(relation, &mut problems));
        }
        Error::of(problems)?;
        if self.rules.freeze_unlisted {
            self.remember_unlisted(relations);
        }
        let tables = at.iter().filter_map(|at| self.tables.bound.get(*at));
        Ok(Report::of(&self.loaded.running, tables, &self.rules))
    }

    /// What becomes of a table's rows. Binds it unless it is.
    ///
    /// # Errors
    /// All problems of the table.
    pub fn route(&mut self, relation: &Arc<Relation>) -> Result<Route, Error> {
        let mut problems = Vec::new();
        let at = self.bind_one(relation, &mut problems);
        Error::of(problems)?;
        let table = at.and_then(|at| self.tables.bound.get(at));
        Ok(match table.map(|table| (&table.fate, table.transforms.is_empty())) {
            Some((Fate::Keep, true)) => Route::AsTheyAre,
            Some((Fate::Drop, _)) => Route::Nowhere,
            Some((Fate::SchemaOnly, _)) => Route::SchemaOnly,
            Some((Fate::Keep | Fate::ByRow(_), _)) | None => Route::Through,
        })
    }

    /// Passes a batch through injector, filters and transformers. A table version that was not seen before is bound
    /// first: the schema barrier.
    ///
    /// # Errors
    /// A new table version that a rule does not fit, or a row that a plugin cannot handle while `on_error` is
    /// `stop`. Nothing of the batch has gone on.
    pub fn apply(&mut self, mut batch: Batch) -> Result<Batch, Error> {
        let places = self.bind_unseen(&batch)?;
        self.filter_truncates(&mut batch);
        for (at, table) in places.into_iter().enumerate() {
            self.apply_chunk(&mut batch, at, table)?;
        }
        self.pass_barrier(&mut batch.order)?;
        Ok(batch)
    }

    /// A hash over components, rules and settings, in hexadecimal: a checkpoint that was made under another one does
    /// not fit.
    #[must_use]
    pub fn digest(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters.clone();
        for (running, failures) in self.loaded.running.iter().zip(&self.failures) {
            let calls = running.calls();
            counters.plugins.push(PluginCounters {
                name: running.name().into(),
                version: running.plugin.description.version.clone(),
                calls: calls.calls,
                rows: calls.rows,
                bytes_in: calls.bytes_in,
                time: calls.time,
                crashes: calls.crashes,
                restarts: calls.restarts,
                memory: calls.memory,
                failures: *failures,
            });
        }
        counters
    }

    /// Place of each chunk's table in `tables`.
    fn bind_unseen(&mut self, batch: &Batch) -> Result<Vec<usize>, Error> {
        let mut problems = Vec::new();
        let truncated = batch.order.iter().flat_map(|step| match step {
            Step::Truncate(truncate) => truncate.relations.as_slice(),
            Step::Begin(_)
            | Step::Rows { .. }
            | Step::Schema(_)
            | Step::Commit { .. }
            | Step::Heartbeat(_) => &[],
        });
        let relations = batch.chunks.iter().map(|chunk| &chunk.relation).chain(truncated);
        let mut unseen = false;
        for relation in relations {
            if self.tables.find(relation).is_none() {
                unseen = true;
                self.check_unlisted(relation, &mut problems);
                self.bind_one(relation, &mut problems);
            }
        }
        Error::of(problems)?;
        if unseen {
            self.forget_old_versions(batch);
        }
        // All were bound above.
        Ok(batch.chunks.iter().map(|chunk| self.tables.find(&chunk.relation).unwrap_or(usize::MAX)).collect())
    }

    /// Binds a table unless it is. Gives its place if nothing is wrong with it.
    fn bind_one(&mut self, relation: &Arc<Relation>, problems: &mut Vec<Problem>) -> Option<usize> {
        if let Some(at) = self.tables.find(relation) {
            return Some(at);
        }
        let before = problems.len();
        if self.rules.of(&relation.name).is_some() {
            self.ruled.insert(relation.oid, relation.name.clone());
        } else if let Some(was) = self.ruled.get(&relation.oid) {
            let (was, table) = (was.to_string(), relation.name.to_string());
            problems.push(Problem::RenamedTable { was, table });
            return None;
        }
        let table = Table::bind(
            relation,
            &mut self.loaded,
            &self.rules,
            &gone::columns(&self.gone, &relation.name),
            self.root.as_ref(),
            problems,
        );
        if problems.len() > before {
            table.release(&mut self.loaded.running);
            return None;
        }
        tracing::debug!(table = %relation.name, version = relation.version, "table bound");
        Some(self.tables.push(table))
    }

    /// Keeps the last versions of each table, and all that the batch holds.
    fn forget_old_versions(&mut self, batch: &Batch) {
        let mut used: Vec<&Arc<Relation>> = batch.chunks.iter().map(|chunk| &chunk.relation).collect();
        for step in &batch.order {
            if let Step::Truncate(truncate) = step {
                used.extend(&truncate.relations);
            }
        }
        let mut newer: BTreeMap<u32, usize> = BTreeMap::new();
        for at in (0..self.tables.bound.len()).rev() {
            let Some(table) = self.tables.bound.get(at) else { continue };
            let seen = newer.entry(table.relation.oid).or_default();
            *seen += 1;
            if *seen > VERSIONS && !used.iter().any(|relation| Arc::ptr_eq(relation, &table.relation)) {
                self.tables.remove(at).release(&mut self.loaded.running);
            }
        }
    }

    fn remember_unlisted(&mut self, relations: &[Arc<Relation>]) {
        for relation in relations.iter().filter(|relation| self.rules.of(&relation.name).is_none()) {
            let columns = relation.columns.iter().map(|column| column.name.clone()).collect();
            self.unlisted.insert(relation.name.clone(), columns);
        }
    }

    /// `table_level`: a table without rules that is new, or has a new column, stops the stream before its first row,
    /// unless a filter drops it.
    fn check_unlisted(&mut self, relation: &Arc<Relation>, problems: &mut Vec<Problem>) {
        if !self.rules.freeze_unlisted || self.rules.of(&relation.name).is_some() {
            return;
        }
        let change = match self.unlisted.get(&relation.name) {
            None => "is new".to_owned(),
            Some(known) => match relation.columns.iter().find(|column| !known.contains(&column.name)) {
                None => return,
                Some(column) => format!("has the new column `{}`", column.name),
            },
        };
        let mut unasked = Vec::new();
        if let Some(at) = self.bind_one(relation, &mut unasked)
            && let Some(table) = self.tables.bound.get(at)
            && !matches!(table.fate, Fate::Drop | Fate::SchemaOnly)
        {
            self.tables.remove(at).release(&mut self.loaded.running);
            problems.push(Problem::UnlistedTableChanged { table: relation.name.to_string(), change });
        }
    }

    /// A truncate of a table that a filter drops is dropped too.
    fn filter_truncates(&mut self, batch: &mut Batch) {
        for step in &mut batch.order {
            let Step::Truncate(truncate) = step else { continue };
            truncate.relations.retain(|relation| {
                let table = self.tables.find(relation).and_then(|at| self.tables.bound.get(at));
                table.is_some_and(|table| matches!(table.fate, Fate::Keep | Fate::ByRow(_)))
            });
        }
        batch.order.retain(|step| !matches!(step, Step::Truncate(truncate) if truncate.relations.is_empty()));
    }

    fn apply_chunk(&mut self, batch: &mut Batch, at: usize, table: usize) -> Result<(), Error> {
        let Self { loaded, tables, rules, failures, counters, .. } = self;
        let (Some(table), Some(chunk)) = (tables.bound.get(table), batch.chunks.get_mut(at)) else {
            return Ok(());
        };
        let running = loaded.running.as_mut_slice();
        let transactions = batch.transactions.as_slice();
        counters.rows += chunk.rows() as u64;
        if matches!(table.fate, Fate::Drop | Fate::SchemaOnly) {
            counters.filtered += chunk.rows() as u64;
            filter::drop_chunk(batch, at);
            return Ok(());
        }
        inject::versions(chunk, transactions, table, running, failures)?;
        let kept = filter::by_row(chunk, transactions, table, running, failures, counters, rules.on_error)?;
        if let Some(keep) = kept {
            batch.retain_rows(at, &keep);
        }
        let Some(chunk) = batch.chunks.get_mut(at) else { return Ok(()) };
        let transactions = batch.transactions.as_slice();
        let kept = transform::transform(chunk, transactions, table, running, failures, rules.on_error)?;
        if let Some(keep) = kept {
            batch.retain_rows(at, &keep);
        }
        let Some(chunk) = batch.chunks.get_mut(at) else { return Ok(()) };
        inject::identities(chunk, batch.transactions.as_slice(), table, running, failures)
    }
}
