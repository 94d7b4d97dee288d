//! One version of one table, bound: what each plugin does with its rows, decided before the first of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use event::{Relation, ReplicaIdentity};
use plugin::{
    Bound, CallError, ColumnType, IdentityRule, Needs, Read, RootKey, Running, Uniqueness, Verdict,
    VersionRule,
};

use crate::Problem;
use crate::demands::{check_reads, old_row_has};
use crate::isolate::LONGEST;
use crate::loaded::{Loaded, TableStage};
use crate::nearest::hint;
use crate::rules::{Rule, Rules, TableRules, Transformer, place};

/// A bound table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) relation: Arc<Relation>,
    pub(crate) kinds: Vec<ColumnType>,
    pub(crate) fate: Fate,
    pub(crate) finder: Option<Finder>,
    pub(crate) transforms: Vec<Transform>,
    /// Some transform wants a number for each row.
    pub(crate) nonces: bool,
}

/// What the filters do with the table.
#[derive(Debug)]
pub(crate) enum Fate {
    Keep,
    Drop,
    SchemaOnly,
    ByRow(Vec<RowFilter>),
}

/// A filter that is asked for each batch.
#[derive(Debug)]
pub(crate) struct RowFilter {
    pub(crate) plugin: usize,
    pub(crate) bound: Bound,
    pub(crate) reads: Vec<Read>,
}

/// What the injector found.
#[derive(Debug)]
pub(crate) struct Finder {
    pub(crate) plugin: usize,
    pub(crate) bound: Bound,
    /// `None`: sinks fall back on the replica identity.
    pub(crate) identity: Option<IdentityRule>,
    pub(crate) version: VersionRule,
}

/// A rule that changes values.
#[derive(Debug)]
pub(crate) struct Transform {
    pub(crate) plugin: usize,
    pub(crate) bound: Bound,
    pub(crate) needs: Needs,
    /// Name of its column, for messages.
    pub(crate) column: String,
    /// Name of its offer, for messages.
    pub(crate) offer: String,
    /// It writes a column of the replica identity, so it is applied to old keys too.
    pub(crate) in_key: bool,
}

impl Table {
    /// Binds every plugin that has to do with the table. Columns that are `gone` may have rules. `problems` takes all that is wrong; with any, the result is
    /// of no use.
    pub(crate) fn bind(
        relation: &Arc<Relation>,
        loaded: &mut Loaded,
        rules: &Rules,
        gone: &[String],
        root: Option<&RootKey>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let kinds = relation.columns.iter().map(ColumnType::of).collect();
        let fate = bind_filters(relation, loaded, problems);
        let mut table = Self {
            relation: Arc::clone(relation),
            kinds,
            fate,
            finder: None,
            transforms: Vec::new(),
            nonces: false,
        };
        if matches!(table.fate, Fate::Drop | Fate::SchemaOnly) {
            return table;
        }
        table.finder = bind_injector(relation, loaded, problems);
        match rules.of(&relation.name) {
            Some(of_table) => table.bind_rules(loaded, of_table, gone, root, problems),
            None if rules.all_tables => {
                problems.push(Problem::UncoveredTable { table: relation.name.to_string() });
            }
            None => {}
        }
        table.nonces = table.transforms.iter().any(|transform| transform.needs.nonces);
        table
    }

    /// Lets go of everything that was bound.
    pub(crate) fn release(&self, running: &mut [Running]) {
        let filters = match &self.fate {
            Fate::ByRow(filters) => filters.as_slice(),
            Fate::Keep | Fate::Drop | Fate::SchemaOnly => &[],
        };
        let bound = filters.iter().map(|filter| (filter.plugin, filter.bound));
        let bound = bound.chain(self.finder.iter().map(|finder| (finder.plugin, finder.bound)));
        for (plugin, bound) in bound.chain(self.transforms.iter().map(|rule| (rule.plugin, rule.bound))) {
            if let Some(running) = running.get_mut(plugin) {
                running.release(bound);
            }
        }
    }

    fn bind_rules(
        &mut self,
        loaded: &mut Loaded,
        rules: &TableRules,
        gone: &[String],
        root: Option<&RootKey>,
        problems: &mut Vec<Problem>,
    ) {
        let relation = Arc::clone(&self.relation);
        let mut writers: BTreeMap<usize, &str> = BTreeMap::new();
        for rule in &rules.columns {
            let place = place(&relation.name, &rule.column);
            let Some(at) = relation.column(&rule.column) else {
                if !gone.contains(&rule.column) {
                    problems.push(missing_column(&relation, &rule.column));
                }
                continue;
            };
            let Some(transformer) = &rule.transformer else { continue };
            if let Some(problem) = refused_by_column(&relation, at, &place, transformer) {
                problems.push(problem);
                continue;
            }
            let unknown = transformer.reads.iter().filter(|column| relation.column(column).is_none());
            let before = problems.len();
            problems.extend(unknown.map(|column| missing_column(&relation, column)));
            if problems.len() > before {
                continue;
            }
            match bind_transform(&relation, at, rule, transformer, loaded, root) {
                Ok(None) => {}
                Ok(Some(transform)) => {
                    for column in &transform.needs.writes {
                        if let Some(other) = writers.insert(*column, &rule.column) {
                            let column = name(&relation, *column);
                            let (place, other) = (place.clone(), other.to_owned());
                            problems.push(Problem::TwoWriters { place, column, other });
                        }
                    }
                    self.transforms.push(transform);
                }
                Err(problem) => problems.push(problem),
            }
        }
        if rules.strict {
            let uncovered = relation.columns.iter().filter(|column| {
                column.generated.is_none() && !rules.columns.iter().any(|rule| rule.column == column.name)
            });
            problems.extend(
                uncovered
                    .map(|column| Problem::UncoveredColumn { place: place(&relation.name, &column.name) }),
            );
        }
    }
}

fn missing_column(relation: &Relation, column: &str) -> Problem {
    let names = relation.columns.iter().map(|column| column.name.as_str());
    Problem::MissingColumn {
        place: place(&relation.name, column),
        hint: hint(column, names, "the table has no columns"),
    }
}

/// What the host can tell without asking the plugin.
fn refused_by_column(relation: &Relation, at: usize, place: &str, rule: &Transformer) -> Option<Problem> {
    let column = relation.columns.get(at)?;
    if column.generated.is_some() {
        return Some(Problem::GeneratedColumn { place: place.into() });
    }
    let unique = column.primary || column.unique;
    if unique && rule.offer.uniqueness == Uniqueness::Lost && !rule.allow_uniqueness_loss {
        return Some(Problem::UniquenessLoss { place: place.into(), offer: rule.offer.name.clone() });
    }
    let kind = ColumnType::of(column);
    if !rule.offer.accepts.is_empty() && !rule.offer.accepts.iter().any(|shape| kind.has(*shape)) {
        let accepts: Vec<String> = rule.offer.accepts.iter().map(ToString::to_string).collect();
        return Some(Problem::ColumnType {
            place: place.into(),
            offer: rule.offer.name.clone(),
            type_name: column.type_name.clone(),
            accepts: accepts.join(", "),
        });
    }
    None
}

/// `None` for a rule that writes nothing: it need not be called.
fn bind_transform(
    relation: &Arc<Relation>,
    at: usize,
    rule: &Rule,
    transformer: &Transformer,
    loaded: &mut Loaded,
    root: Option<&RootKey>,
) -> Result<Option<Transform>, Problem> {
    let place = place(&relation.name, &rule.column);
    let Some(running) = loaded.running.get_mut(transformer.plugin) else { return Ok(None) };
    let plugin = running.name().to_owned();
    let default_domain = || format!("{}.{}.{}", relation.name.schema, relation.name.name, rule.column);
    let domain = transformer.domain.clone().unwrap_or_else(default_domain);
    let bound = running.bind_transform(plugin::Rule {
        offer: transformer.offer.name.clone(),
        settings: transformer.settings.clone(),
        relation: Arc::clone(relation),
        targets: vec![at],
        key: root.map(|root| root.derive(&domain).to_vec()).unwrap_or_default(),
    });
    let (bound, needs) = bound.map_err(|error| refused(&place, &plugin, error))?;
    let defect =
        |reason: String| Problem::PluginDefect { place: place.clone(), plugin: plugin.clone(), reason };
    check_reads(relation, &needs.reads).map_err(defect)?;
    if needs.writes.is_empty() {
        running.release(bound);
        return Ok(None);
    }
    if !needs.writes.contains(&at) {
        return Err(defect("does not write the column of the rule".into()));
    }
    for (place, write) in needs.writes.iter().enumerate() {
        match relation.columns.get(*write) {
            None => return Err(defect(format!("writes column {write}, which the table does not have"))),
            Some(column) if column.generated.is_some() => {
                return Err(defect(format!("writes `{}`, which is generated", column.name)));
            }
            Some(column) if needs.writes.iter().take(place).any(|other| other == write) => {
                return Err(defect(format!("writes `{}` twice", column.name)));
            }
            Some(_) => {}
        }
    }
    let identity = |at: &usize| relation.columns.get(*at).is_some_and(|column| column.identity);
    let in_key = relation.replica_identity != ReplicaIdentity::Full && needs.writes.iter().any(identity);
    if in_key {
        old_row_has(relation, &needs.reads, &place, &plugin)?;
    }
    Ok(Some(Transform {
        plugin: transformer.plugin,
        bound,
        needs,
        column: rule.column.clone(),
        offer: transformer.offer.name.clone(),
        in_key,
    }))
}

fn bind_filters(relation: &Arc<Relation>, loaded: &mut Loaded, problems: &mut Vec<Problem>) -> Fate {
    let mut fate = Fate::Keep;
    let stages: Vec<TableStage> = loaded.filters.clone();
    for stage in stages.iter().filter(|stage| stage.applies_to(&relation.name)) {
        let Some(running) = loaded.running.get_mut(stage.plugin) else { continue };
        let (place, plugin) = (relation.name.to_string(), running.name().to_owned());
        let (bound, verdict) = match running.bind_filter(stage_rule(stage, relation)) {
            Ok(answer) => answer,
            Err(error) => {
                problems.push(refused(&place, &plugin, error));
                continue;
            }
        };
        let reads = match verdict {
            Verdict::ByRow(reads) => reads,
            Verdict::Keep | Verdict::Drop | Verdict::SchemaOnly => {
                running.release(bound);
                fate = stricter(fate, &verdict);
                continue;
            }
        };
        if let Err(reason) = check_reads(relation, &reads) {
            problems.push(Problem::PluginDefect { place, plugin, reason });
            continue;
        }
        if let Err(problem) = old_row_has(relation, &reads, &place, &plugin) {
            problems.push(problem);
        }
        let filter = RowFilter { plugin: stage.plugin, bound, reads };
        match &mut fate {
            Fate::ByRow(filters) => filters.push(filter),
            Fate::Keep => fate = Fate::ByRow(vec![filter]),
            Fate::Drop | Fate::SchemaOnly => {}
        }
    }
    fate
}

/// All filters must keep a table.
fn stricter(fate: Fate, verdict: &Verdict) -> Fate {
    match (fate, verdict) {
        (Fate::Drop, _) | (_, Verdict::Drop) => Fate::Drop,
        (Fate::SchemaOnly, _) | (_, Verdict::SchemaOnly) => Fate::SchemaOnly,
        (fate @ (Fate::Keep | Fate::ByRow(_)), Verdict::Keep | Verdict::ByRow(_)) => fate,
    }
}

fn bind_injector(
    relation: &Arc<Relation>,
    loaded: &mut Loaded,
    problems: &mut Vec<Problem>,
) -> Option<Finder> {
    let stage = loaded.injector.clone().filter(|stage| stage.applies_to(&relation.name))?;
    let running = loaded.running.get_mut(stage.plugin)?;
    let (place, plugin) = (relation.name.to_string(), running.name().to_owned());
    let (bound, findings) = match running.bind_finder(stage_rule(&stage, relation)) {
        Ok(answer) => answer,
        Err(error) => {
            problems.push(refused(&place, &plugin, error));
            return None;
        }
    };
    let mut identity = Some(findings.identity);
    let mut reads = Vec::new();
    match &identity {
        None | Some(IdentityRule::None) => {}
        Some(IdentityRule::Columns(columns)) => {
            let columns: Vec<Read> =
                columns.iter().map(|at| Read { at: *at, shape: plugin::Shape::Text }).collect();
            if let Err(reason) = check_reads(relation, &columns) {
                problems.push(Problem::PluginDefect { place, plugin, reason });
                return None;
            }
            // A primary key beside REPLICA IDENTITY USING another INDEX: updates and deletes do not carry it.
            if old_row_has(relation, &columns, &place, &plugin).is_err() {
                tracing::info!(table = %relation.name, "old rows lack the identity that the injector found: the replica identity is used");
                identity = None;
            }
        }
        Some(IdentityRule::Computed(columns)) => reads.extend(columns),
    }
    match &findings.version {
        VersionRule::CommitLsn => {}
        VersionRule::Column(at) => reads.push(Read { at: *at, shape: plugin::Shape::Text }),
        VersionRule::Computed(columns) => reads.extend(columns),
    }
    if let Err(reason) = check_reads(relation, &reads) {
        problems.push(Problem::PluginDefect { place, plugin, reason });
        return None;
    }
    if let Err(problem) = old_row_has(relation, &reads, &place, &plugin) {
        problems.push(problem);
    }
    Some(Finder { plugin: stage.plugin, bound, identity, version: findings.version })
}

fn stage_rule(stage: &TableStage, relation: &Arc<Relation>) -> plugin::Rule {
    plugin::Rule {
        offer: stage.offer.clone(),
        settings: stage.settings.clone(),
        relation: Arc::clone(relation),
        targets: Vec::new(),
        key: Vec::new(),
    }
}

fn refused(place: &str, plugin: &str, error: CallError) -> Problem {
    let (place, plugin) = (place.to_owned(), plugin.to_owned());
    match error {
        CallError::Refused(reason) => {
            Problem::Refused { place, plugin, reason: plugin::one_line(&reason, LONGEST) }
        }
        CallError::Crashed(crash) => {
            Problem::PluginDefect { place, plugin, reason: format!("crashed in `bind`: {crash}") }
        }
        CallError::Breach(reason) | CallError::Lost(reason) => {
            Problem::PluginDefect { place, plugin, reason: format!("broke the contract in `bind`: {reason}") }
        }
    }
}

fn name(relation: &Relation, at: usize) -> String {
    relation.columns.get(at).map(|column| column.name.clone()).unwrap_or_default()
}
