//! Which objects of an archive are made, and in which of five groups.

use std::collections::HashSet;

use ::postgres::archive::{Entry, Section};
use event::TableName;

/// What is wanted of an archive.
pub struct Policy {
    /// Whether a table or view is.
    pub wants: Box<dyn Fn(&TableName) -> bool + Send + Sync>,
    /// Tables that the target has: they are not made, and what a wanted table needs of them need not be left out.
    pub there: HashSet<TableName>,
    /// No table was named: everything that the database has is wanted.
    pub everything: bool,
    /// Also what belongs to no table: extensions, event triggers, casts, …
    pub global_objects: bool,
    /// Owners stay who makes the objects.
    pub no_owner: bool,
    /// Grants are left out.
    pub no_privileges: bool,
    /// Security labels of these providers are left out.
    pub excluded_security_labels: Vec<String>,
    /// Only these [`CATEGORIES`]; none means all.
    pub included_types: Vec<String>,
    /// None of these.
    pub excluded_types: Vec<String>,
    /// Materialized views are filled.
    pub refresh_materialized_views: bool,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("everything", &self.everything).finish_non_exhaustive()
    }
}

/// The words of `include_object_types`, and what pg_dump calls such objects. A schema has none: it is never left out.
pub const CATEGORIES: &[(&str, &[&str])] = &[
    ("tables", &["TABLE", "FOREIGN TABLE", "TABLE ATTACH", "DEFAULT"]),
    ("sequences", &["SEQUENCE", "SEQUENCE OWNED BY"]),
    ("types", &["TYPE", "SHELL TYPE", "DOMAIN"]),
    ("indexes", &["INDEX", "INDEX ATTACH", "STATISTICS"]),
    ("constraints", &["CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT"]),
    ("functions", &["FUNCTION", "PROCEDURE", "AGGREGATE"]),
    ("views", &["VIEW"]),
    ("materialized_views", &["MATERIALIZED VIEW", "MATERIALIZED VIEW DATA"]),
    ("triggers", &["TRIGGER"]),
    ("event_triggers", &["EVENT TRIGGER"]),
    ("policies", &["POLICY", "ROW SECURITY"]),
    ("rules", &["RULE"]),
    ("extensions", &["EXTENSION"]),
    ("collations", &["COLLATION"]),
    (
        "text_search",
        &[
            "TEXT SEARCH CONFIGURATION",
            "TEXT SEARCH DICTIONARY",
            "TEXT SEARCH PARSER",
            "TEXT SEARCH TEMPLATE",
        ],
    ),
    ("comments", &["COMMENT"]),
];

const RELATIONS: [&str; 4] = ["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"];

/// What is made when.
#[derive(Debug, Default)]
pub(super) struct Chosen<'a> {
    /// Before the rows, in this order.
    pub(super) before: Vec<&'a Entry>,
    /// After them: indexes and constraints of a table by itself, in any order.
    pub(super) indexes: Vec<&'a Entry>,
    /// Then what binds those together, in this order.
    pub(super) rest: Vec<&'a Entry>,
    /// Foreign keys, in any order.
    pub(super) foreign_keys: Vec<&'a Entry>,
    /// What would be in the way before: grants, event triggers, rows of materialized views; in this order.
    pub(super) last: Vec<&'a Entry>,
}

impl Policy {
    pub(super) fn choose<'a>(&self, entries: &'a [Entry]) -> Chosen<'a> {
        let kept = self.kept(entries);
        let mut chosen = Chosen::default();
        let mut late = HashSet::new();
        for entry in entries.iter().filter(|entry| kept.contains(&entry.id)) {
            let group = match (entry.section, entry.kind.as_str()) {
                (_, "ACL" | "DEFAULT ACL" | "EVENT TRIGGER") => &mut chosen.last,
                (_, "MATERIALIZED VIEW DATA") if !self.refresh_materialized_views => continue,
                (_, "MATERIALIZED VIEW DATA") => &mut chosen.last,
                (Section::Data, _) => continue,
                (Section::PreData, _) => &mut chosen.before,
                (Section::PostData, "INDEX" | "CONSTRAINT" | "CHECK CONSTRAINT") => &mut chosen.indexes,
                (Section::PostData, "FK CONSTRAINT") => &mut chosen.foreign_keys,
                (Section::PostData, _) => &mut chosen.rest,
                // A comment or label: with what it is for.
                (Section::None, _) if entry.needs.iter().any(|id| late.contains(id)) => &mut chosen.last,
                (Section::None, _) => &mut chosen.before,
            };
            group.push(entry);
            if entry.section == Section::PostData {
                late.insert(entry.id);
            }
        }
        chosen
    }

    /// The numbers of what is made.
    fn kept(&self, entries: &[Entry]) -> HashSet<i32> {
        // A partition is wanted as its root is.
        let parts: HashSet<(&Option<String>, &str)> = entries
            .iter()
            .filter(|entry| entry.kind == "TABLE ATTACH")
            .map(|entry| (&entry.schema, entry.name.as_str()))
            .collect();
        let mut out = HashSet::new();
        for entry in entries {
            let is_part = entry.kind == "TABLE" && parts.contains(&(&entry.schema, &entry.name));
            if self.leaves_out(entry, is_part) || entry.needs.iter().any(|id| out.contains(id)) {
                out.insert(entry.id);
            }
        }
        let is_kept = |entry: &&Entry| !out.contains(&entry.id);
        if self.everything {
            return entries.iter().filter(is_kept).map(|entry| entry.id).collect();
        }
        // The tables, what belongs to them, and whatever those need.
        let tables: HashSet<i32> = entries
            .iter()
            .filter(is_kept)
            .filter(|entry| {
                is_relation(entry) && (self.is_wanted(entry) || !self.there.contains(&table(entry)))
            })
            .map(|entry| entry.id)
            .collect();
        let mut wanted: Vec<&Entry> = entries
            .iter()
            .filter(is_kept)
            .filter(|entry| {
                self.global_objects
                    || tables.contains(&entry.id)
                    || entry.needs.iter().any(|id| tables.contains(id))
            })
            .collect();
        let mut kept = HashSet::new();
        while let Some(entry) = wanted.pop() {
            if kept.insert(entry.id) {
                wanted.extend(entries.iter().filter(|other| entry.needs.contains(&other.id)));
            }
        }
        // Comments and grants of what was added, and the schemas that something is in.
        let schemas: HashSet<&str> = entries
            .iter()
            .filter(|entry| kept.contains(&entry.id))
            .filter_map(|entry| entry.schema.as_deref())
            .collect();
        for entry in entries.iter().filter(is_kept) {
            let is_schema = entry.kind == "SCHEMA" && schemas.contains(entry.name.as_str());
            let is_of_kept = !entry.needs.is_empty() && entry.needs.iter().all(|id| kept.contains(id));
            if is_schema || (entry.section == Section::None && is_of_kept) {
                kept.insert(entry.id);
            }
        }
        kept
    }

    fn leaves_out(&self, entry: &Entry, is_part: bool) -> bool {
        let kind = entry.kind.as_str();
        let category = CATEGORIES.iter().find(|(_, kinds)| kinds.contains(&kind)).map(|(word, _)| *word);
        let named =
            |list: &[String]| category.is_some_and(|category| list.iter().any(|word| word == category));
        let by_type = (!self.included_types.is_empty() && category.is_some() && !named(&self.included_types))
            || named(&self.excluded_types);
        let provider = |provider: &String| entry.make.starts_with(&format!("SECURITY LABEL FOR {provider} "));
        // What `init` has put into the source is the source's.
        let is_ours = kind == "EVENT TRIGGER" && entry.make.contains("EXECUTE FUNCTION pgstream.");
        by_type
            || is_ours
            || matches!(
                kind,
                "ENCODING" | "STDSTRINGS" | "SEARCHPATH" | "SEQUENCE SET" | "TABLE DATA" | "STATISTICS DATA"
            )
            || matches!(kind, "DATABASE" | "DATABASE PROPERTIES" | "SUBSCRIPTION" | "SUBSCRIPTION TABLE")
            || (self.no_privileges && matches!(kind, "ACL" | "DEFAULT ACL"))
            || (kind == "SECURITY LABEL" && self.excluded_security_labels.iter().any(provider))
            || (is_relation(entry)
                && !is_part
                && !self.is_wanted(entry)
                && !self.there.contains(&table(entry)))
    }

    fn is_wanted(&self, entry: &Entry) -> bool {
        is_relation(entry) && (self.wants)(&table(entry))
    }
}

fn is_relation(entry: &Entry) -> bool {
    RELATIONS.contains(&entry.kind.as_str())
}

fn table(entry: &Entry) -> TableName {
    TableName::new(entry.schema.as_deref().unwrap_or_default(), &entry.name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn entry(id: i32, kind: &str, name: &str, section: Section, needs: &[i32]) -> Entry {
        Entry {
            id,
            kind: kind.to_owned(),
            name: name.to_owned(),
            schema: Some("app".to_owned()).filter(|_| kind != "SCHEMA"),
            section,
            make: String::new(),
            drop: String::new(),
            owner: String::new(),
            tablespace: None,
            access_method: None,
            needs: needs.to_vec(),
        }
    }

    fn ids(entries: &[&Entry]) -> Vec<i32> {
        entries.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn what_belongs_to_a_table_comes_and_goes_with_it() {
        use Section::{None as Nowhere, PostData, PreData};
        let entries = [
            entry(1, "SCHEMA", "app", PreData, &[]),
            entry(2, "TYPE", "mood", PreData, &[1]),
            entry(3, "FUNCTION", "f()", PreData, &[1]),
            entry(4, "FUNCTION", "g()", PreData, &[1]),
            entry(5, "TABLE", "wanted", PreData, &[2]),
            entry(6, "TABLE", "other", PreData, &[]),
            entry(7, "VIEW", "both", PreData, &[5, 6]),
            entry(8, "COMMENT", "TABLE wanted", Nowhere, &[5]),
            entry(9, "CONSTRAINT", "wanted wanted_pkey", PostData, &[5]),
            entry(10, "COMMENT", "CONSTRAINT wanted_pkey ON wanted", Nowhere, &[9]),
            entry(11, "INDEX", "other_i", PostData, &[6]),
            entry(12, "FK CONSTRAINT", "wanted to_other", PostData, &[5, 6]),
            entry(13, "TRIGGER", "wanted t", PostData, &[3, 5]),
            entry(14, "EVENT TRIGGER", "e", PostData, &[4]),
            entry(15, "ACL", "TABLE wanted", Nowhere, &[5]),
        ];
        let mut policy = Policy {
            wants: Box::new(|table| table.name == "wanted" || table.name == "both"),
            there: HashSet::new(),
            everything: false,
            global_objects: false,
            no_owner: false,
            no_privileges: false,
            excluded_security_labels: Vec::new(),
            included_types: Vec::new(),
            excluded_types: Vec::new(),
            refresh_materialized_views: false,
        };
        let chosen = policy.choose(&entries);
        assert_eq!(ids(&chosen.before), [1, 2, 3, 5, 8]);
        assert_eq!((ids(&chosen.indexes), ids(&chosen.rest)), (vec![9], vec![13]));
        assert_eq!((ids(&chosen.foreign_keys), ids(&chosen.last)), (vec![], vec![10, 15]));
        policy.there.insert(TableName::new("app", "other"));
        let chosen = policy.choose(&entries);
        // The key with its table, and nothing else of that: the target has it already.
        assert_eq!((ids(&chosen.before), ids(&chosen.foreign_keys)), (vec![1, 2, 3, 5, 6, 7, 8], vec![12]));
        assert_eq!((ids(&chosen.indexes), ids(&chosen.rest)), (vec![9], vec![13]));
        policy.everything = true;
        policy.wants = Box::new(|_| true);
        policy.excluded_types = vec!["triggers".to_owned(), "indexes".to_owned()];
        let chosen = policy.choose(&entries);
        assert_eq!(ids(&chosen.before), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((ids(&chosen.indexes), ids(&chosen.rest)), (vec![9], vec![]));
        assert_eq!((ids(&chosen.foreign_keys), ids(&chosen.last)), (vec![12], vec![10, 14, 15]));
    }
}
