//! One version of a source table bound to its target: which column goes where, and what finds a row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::postgres::Client;
use event::{Identity, Relation, ReplicaIdentity, TableName};

use super::catalog::{self, Queries, Target, TargetColumn};
use super::work::Work;
use super::{Error, Problem};

/// A column that is on both sides.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    /// Its place in `Relation::columns`.
    pub(super) source: usize,
    pub(super) target: TargetColumn,
}

/// What finds the row of an update or delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Nothing: only inserts can come.
    None,
    /// These of the bound columns.
    Columns(Vec<usize>),
    /// All of them, compared by their text, and of true duplicates one.
    Row,
}

impl Key {
    /// The bound columns, empty unless it is made of columns.
    pub(super) fn columns(&self) -> &[usize] {
        match self {
            Self::Columns(columns) => columns,
            Self::None | Self::Row => &[],
        }
    }
}

/// A version of a source table and the target that it goes to.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) relation: Arc<Relation>,
    pub(super) target: Arc<Target>,
    pub(super) columns: Vec<Bound>,
    pub(super) key: Key,
    /// What ON CONFLICT names.
    pub(super) arbiter: Option<Vec<usize>>,
    /// The same for all versions of the table.
    pub(super) place: usize,
}

impl Table {
    /// Binds by name; every column that the target lacks is a problem.
    fn bind(
        relation: &Arc<Relation>,
        target: &Arc<Target>,
        identity: Option<&[usize]>,
        place: usize,
    ) -> Result<Self, Vec<Problem>> {
        let mut columns = Vec::with_capacity(relation.columns.len());
        let mut problems = Vec::new();
        for (source, column) in relation.columns.iter().enumerate() {
            // What is generated is computed here, if it is wanted at all.
            if column.generated.is_none()
                && let Some(problem) = target.problem(column)
            {
                problems.push(problem);
            } else if let Some(found) = target.column(&column.name).and_then(|at| target.columns.get(at)) {
                columns.push(Bound { source, target: found.clone() });
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let bound = |source: usize| columns.iter().position(|column| column.source == source);
        let named = |names: &[String]| -> Option<Vec<usize>> {
            names.iter().map(|name| columns.iter().position(|column| column.target.name == *name)).collect()
        };
        let comparable = |key: &Vec<usize>| {
            key.iter().all(|at| columns.get(*at).is_some_and(|column| column.target.equals.is_some()))
        };
        let sources = |wanted: &[usize]| -> Option<Vec<usize>> {
            let key: Vec<usize> = wanted.iter().map(|source| bound(*source)).collect::<Option<_>>()?;
            (!key.is_empty()).then_some(key).filter(comparable)
        };
        let primary: Vec<usize> = relation.primary_key().collect();
        let replicated: Vec<usize> = relation.identity_columns().collect();
        let is_full = relation.replica_identity == ReplicaIdentity::Full;
        // Columns outside the replica identity may have changed with it: then the old value that would find the
        // row is not in the stream, and an update without an old image would miss its row.
        let given = identity.filter(|columns| {
            if is_full {
                columns.len() < relation.columns.len() || *columns == primary.as_slice()
            } else {
                columns.iter().all(|column| replicated.contains(column))
            }
        });
        let indexed = || target.unique.iter().find_map(|unique| named(&unique.columns).filter(comparable));
        let found = given.and_then(sources);
        let key = match relation.replica_identity {
            ReplicaIdentity::Full => {
                found.or_else(|| sources(&primary)).or_else(indexed).map_or(Key::Row, Key::Columns)
            }
            ReplicaIdentity::Default | ReplicaIdentity::Index | ReplicaIdentity::Nothing => {
                found.or_else(|| sources(&replicated)).map_or(Key::None, Key::Columns)
            }
        };
        let arbiter =
            target.unique.iter().filter(|unique| unique.immediate).find_map(|unique| named(&unique.columns));
        Ok(Self { relation: Arc::clone(relation), target: Arc::clone(target), key, arbiter, columns, place })
    }

    pub(super) fn name(&self) -> &TableName {
        &self.target.name
    }

    /// The bound columns that may be written.
    pub(super) fn writable(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().enumerate().filter(|(_, column)| !column.target.generated).map(|(at, _)| at)
    }

    /// The source's place of a bound column.
    pub(super) fn source(&self, bound: usize) -> usize {
        self.columns.get(bound).map_or(usize::MAX, |column| column.source)
    }
}

/// Every table that was met, by version.
#[derive(Debug, Default)]
pub(super) struct Tables {
    targets: HashMap<TableName, (usize, Arc<Target>)>,
    all: Vec<Table>,
    /// By address of the relation, which `all` keeps alive, and the columns that the injector named.
    by_version: HashMap<(usize, Option<Vec<usize>>), usize>,
    /// A table has triggers that fire whatever the session's role is.
    fires: bool,
    /// The next table's place among targets.
    next: usize,
    queries: Option<Queries>,
}

impl Tables {
    pub(super) fn get(&self, at: usize) -> Option<&Table> {
        self.all.get(at)
    }

    /// Whether the order across tables matters even to a replica.
    pub(super) fn fires(&self) -> bool {
        self.fires
    }

    /// Forgets what is known of the target; statements made with it are void too.
    pub(super) fn forget(&mut self) {
        *self = Self { queries: self.queries.take(), ..Self::default() };
    }

    /// Forgets what is known of these tables. The answer are their versions.
    pub(super) fn forget_some(&mut self, names: &HashSet<TableName>) -> HashSet<usize> {
        self.targets.retain(|name, _| !names.contains(name));
        let all = &self.all;
        let is_of = |at: &usize| all.get(*at).is_some_and(|table| names.contains(table.name()));
        self.by_version.retain(|_, at| !is_of(at));
        (0..all.len()).filter(is_of).collect()
    }

    /// Reads those that are not known yet.
    async fn load<'a>(
        &mut self,
        client: &Client,
        relations: impl Iterator<Item = &'a Arc<Relation>>,
    ) -> Result<(), Error> {
        let mut missing: Vec<TableName> = relations
            .map(|relation| &relation.name)
            .filter(|name| !self.targets.contains_key(*name))
            .cloned()
            .collect();
        missing.sort();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        let queries = match &self.queries {
            Some(queries) => queries.clone(),
            None => self.queries.insert(Queries::prepare(client).await?).clone(),
        };
        for target in catalog::read(client, &queries, &missing).await? {
            self.fires |= target.fires;
            let place = self.next;
            self.next += 1;
            self.targets.insert(target.name.clone(), (place, Arc::new(target)));
        }
        Ok(())
    }

    fn bind(&mut self, relation: &Arc<Relation>, identity: &Identity) -> Result<usize, Vec<Problem>> {
        let columns = match identity {
            Identity::Columns(columns) => Some(columns.clone()),
            Identity::Unknown | Identity::None | Identity::Computed(_) => None,
        };
        let version = (Arc::as_ptr(relation) as usize, columns);
        if let Some(at) = self.by_version.get(&version) {
            return Ok(*at);
        }
        let Some((place, target)) = self.targets.get(&relation.name) else {
            return Err(vec![Problem::Table { table: relation.name.clone() }]);
        };
        let table = Table::bind(relation, target, version.1.as_deref(), *place)?;
        self.all.push(table);
        self.by_version.insert(version, self.all.len() - 1);
        Ok(self.all.len() - 1)
    }

    /// The table of each chunk of each piece of the work.
    pub(super) async fn of_work(&mut self, client: &Client, work: &Work) -> Result<Vec<Vec<usize>>, Error> {
        let known = |tables: &Self, relation: &Arc<Relation>| tables.targets.contains_key(&relation.name);
        // Rows that a filter dropped need no table here.
        let chunks =
            || work.pieces.iter().flat_map(|piece| &piece.held.batch.chunks).filter(|chunk| chunk.rows() > 0);
        if chunks().any(|chunk| !known(self, &chunk.relation)) {
            self.load(client, chunks().map(|chunk| &chunk.relation)).await?;
        }
        let mut problems = Vec::new();
        let mut of_work = Vec::with_capacity(work.pieces.len());
        for piece in &work.pieces {
            let mut of_piece = Vec::with_capacity(piece.held.batch.chunks.len());
            for chunk in &piece.held.batch.chunks {
                if chunk.rows() == 0 {
                    of_piece.push(usize::MAX);
                    continue;
                }
                match self.bind(&chunk.relation, &chunk.identity) {
                    Ok(at) => of_piece.push(at),
                    Err(found) => found.into_iter().for_each(|new| {
                        if !problems.contains(&new) {
                            problems.push(new);
                        }
                    }),
                }
            }
            of_work.push(of_piece);
        }
        if problems.is_empty() { Ok(of_work) } else { Err(Error::Target { problems }) }
    }

    /// Everything that the target lacks for these relations; `role` is who applies.
    pub(super) async fn check(
        &mut self,
        client: &Client,
        relations: &[Arc<Relation>],
        role: &str,
    ) -> Result<Vec<Problem>, Error> {
        self.load(client, relations.iter()).await?;
        let mut problems = Vec::new();
        for relation in relations {
            if let Some((_, target)) = self.targets.get(&relation.name)
                && !target.lacking.is_empty()
            {
                let rights = target.lacking.join(", ");
                problems.push(Problem::Rights {
                    table: relation.name.clone(),
                    rights,
                    role: role.to_owned(),
                });
            }
            if let Err(found) = self.bind(relation, &Identity::Unknown) {
                problems.extend(found);
            }
        }
        Ok(problems)
    }
}
