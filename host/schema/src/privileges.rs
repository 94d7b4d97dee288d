//! Owners and grants: the statements that give a target's objects those of the source. They are apart from the others, since roles
//! are the server's, and a target may have its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Function, Object, TypeKind};
use crate::log::Change;
use crate::name::{Name, ident};
use crate::statement::{Effect, Statement};

/// The statements that make owners and grants the same; they come after [`crate::statements`] of the same changes.
#[must_use]
pub fn privileges(changes: &[Change]) -> Vec<Statement> {
    let mut statements = Vec::new();
    for change in changes {
        let Some(after) = &change.after else { continue };
        let Some((place, is)) = Place::of(after).zip(held(after)) else { continue };
        let was = change.before.as_ref().and_then(held);
        let mut push = |sql: String, effect| {
            statements.push(Statement {
                sql,
                kind: after.kind(),
                subject: after.name().to_string(),
                effect,
                settles_at_commit: false,
                privilege: true,
            });
        };
        let new_owner = was.as_ref().is_none_or(|was| was.owner != is.owner);
        // One that goes with a column has its table's owner.
        if new_owner && !place.owned_by_a_table {
            push(format!("ALTER {} OWNER TO {}", place.owned_as, ident(is.owner)), Effect::Alter);
        }
        let Some(granted_as) = &place.granted_as else { continue };
        // A new owner takes over what the old one had.
        let old = was.as_ref().map(|was| was.rights(place.rights, is.owner));
        let old = old.unwrap_or_else(|| place.rights.by_default(is.owner));
        grants(&old, &is.rights(place.rights, is.owner), place.rights.all, granted_as, "", &mut push);
        for (column, acl) in &is.columns {
            let old = was.as_ref().and_then(|was| was.columns.get(column)).copied().flatten();
            let (old, new) = (parse(old.unwrap_or_default()), parse(acl.unwrap_or_default()));
            grants(&old, &new, "", granted_as, &format!(" ({})", ident(column)), &mut push);
        }
    }
    statements
}

/// Who holds what of an object.
struct Held<'a> {
    owner: &'a str,
    acl: Option<&'a [String]>,
    columns: BTreeMap<&'a str, Option<&'a [String]>>,
}

impl Held<'_> {
    /// By role, under a new owner.
    fn rights(&self, rights: Rights, owner: &str) -> Grants {
        let Some(acl) = self.acl else { return rights.by_default(owner) };
        let mut found = Grants::new();
        for (role, letters) in parse(acl) {
            let role = if role == self.owner { owner.to_owned() } else { role };
            found.entry(role).or_default().extend(letters);
        }
        found
    }
}

fn held(object: &Object) -> Option<Held<'_>> {
    let (owner, acl) = match object {
        Object::Schema(it) => (&it.owner, &it.acl),
        Object::Extension(_) => return None,
        Object::Table(it) => (&it.owner, &it.acl),
        Object::View(it) | Object::MaterializedView(it) => (&it.owner, &it.acl),
        Object::Sequence(it) => (&it.owner, &it.acl),
        Object::Type(it) => (&it.owner, &it.acl),
        Object::Function(it) => (&it.owner, &it.acl),
    };
    let columns = match object {
        Object::Table(it) => it.columns.iter().map(|it| (it.name.as_str(), it.acl.as_deref())).collect(),
        Object::View(it) | Object::MaterializedView(it) => {
            it.columns.iter().map(|it| (it.name.as_str(), it.acl.as_deref())).collect()
        }
        _ => BTreeMap::new(),
    };
    Some(Held { owner: owner.as_deref()?, acl: acl.as_deref(), columns })
}

/// What there is to grant, as `aclitem` writes it.
#[derive(Clone, Copy)]
struct Rights {
    all: &'static str,
    /// What everybody may do where nobody said otherwise.
    public: &'static str,
}

impl Rights {
    fn by_default(self, owner: &str) -> Grants {
        let letters = |text: &str| text.chars().map(|letter| (letter, false)).collect::<BTreeSet<_>>();
        let mut found = Grants::from([(owner.to_owned(), letters(self.all))]);
        if !self.public.is_empty() {
            found.insert(PUBLIC.to_owned(), letters(self.public));
        }
        found
    }
}

/// How an object is called in ALTER and in GRANT.
struct Place {
    owned_as: String,
    owned_by_a_table: bool,
    granted_as: Option<String>,
    rights: Rights,
}

impl Place {
    fn of(object: &Object) -> Option<Self> {
        const RELATION: Rights = Rights { all: "arwdDxt", public: "" };
        let name = object.name();
        let simple = |what: &str, granted: &str, rights| Self {
            owned_as: format!("{what} {name}"),
            owned_by_a_table: false,
            granted_as: Some(format!("{granted} {name}")),
            rights,
        };
        Some(match object {
            Object::Schema(it) => {
                let name = format!("SCHEMA {}", ident(&it.name));
                Self {
                    owned_as: name.clone(),
                    owned_by_a_table: false,
                    granted_as: Some(name),
                    rights: Rights { all: "UC", public: "" },
                }
            }
            Object::Extension(_) => return None,
            Object::Table(_) => simple("TABLE", "TABLE", RELATION),
            Object::View(_) => simple("VIEW", "TABLE", RELATION),
            Object::MaterializedView(_) => simple("MATERIALIZED VIEW", "TABLE", RELATION),
            Object::Sequence(it) => Self {
                owned_by_a_table: it.owned_by.is_some(),
                ..simple("SEQUENCE", "SEQUENCE", Rights { all: "rwU", public: "" })
            },
            Object::Type(it) => {
                let what = if matches!(it.kind, TypeKind::Domain { .. }) { "DOMAIN" } else { "TYPE" };
                simple(what, "TYPE", Rights { all: "U", public: "U" })
            }
            Object::Function(it) => Self::of_function(it, &name),
        })
    }

    fn of_function(it: &Function, name: &Name) -> Self {
        let arguments = if it.is_aggregate && it.arguments.is_empty() { "*" } else { &it.arguments };
        let what = if it.is_aggregate { "AGGREGATE" } else { "ROUTINE" };
        // GRANT has no word for aggregates, and none for the order of their arguments.
        let has_order = it.is_aggregate && it.arguments.contains("ORDER BY");
        Self {
            owned_as: format!("{what} {name}({arguments})"),
            owned_by_a_table: false,
            granted_as: (!has_order).then(|| format!("ROUTINE {name}({})", it.arguments)),
            rights: Rights { all: "X", public: "X" },
        }
    }
}

const PUBLIC: &str = "";

/// By role, letters of rights and whether they may be granted on.
type Grants = BTreeMap<String, BTreeSet<(char, bool)>>;

/// `role=letters/grantor`, each letter with a star if it may be granted on. A role is quoted where it has to be.
fn parse(acl: &[String]) -> Grants {
    let mut found = Grants::new();
    for item in acl {
        let (role, rest) = split_role(item);
        let letters = rest.split('/').next().unwrap_or_default();
        let of_role = found.entry(role).or_default();
        let mut letters = letters.chars().peekable();
        while let Some(letter) = letters.next() {
            of_role.insert((letter, letters.next_if_eq(&'*').is_some()));
        }
    }
    found
}

/// The role before the first `=` that is not quoted, and what follows.
fn split_role(item: &str) -> (String, &str) {
    let mut role = String::new();
    let mut quoted = false;
    let mut characters = item.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' if quoted && characters.next_if(|(_, next)| *next == '"').is_some() => role.push('"'),
            '"' => quoted = !quoted,
            '=' if !quoted => return (role, item.get(at + 1..).unwrap_or_default()),
            _ => role.push(character),
        }
    }
    (role, "")
}

fn grants(
    old: &Grants,
    new: &Grants,
    all: &str,
    on: &str,
    columns: &str,
    push: &mut impl FnMut(String, Effect),
) {
    let none = BTreeSet::new();
    for role in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (old.get(role).unwrap_or(&none), new.get(role).unwrap_or(&none));
        if is_same(was, is, all) {
            continue;
        }
        let name = if role == PUBLIC { "PUBLIC".to_owned() } else { ident(role) };
        let lost: Vec<&(char, bool)> = was.difference(is).collect();
        if !lost.is_empty() {
            let words = words(&lost.iter().map(|(letter, _)| *letter).collect(), columns);
            push(format!("REVOKE {words} ON {on} FROM {name}"), Effect::Remove);
        }
        // What was revoked to be granted without the right to grant it on comes again.
        for option in [false, true] {
            let given: BTreeSet<char> =
                is.difference(was).filter(|(_, on)| *on == option).map(|(letter, _)| *letter).collect();
            if !given.is_empty() {
                let tail = if option { " WITH GRANT OPTION" } else { "" };
                push(format!("GRANT {} ON {on} TO {name}{tail}", words(&given, columns)), Effect::Alter);
            }
        }
    }
}

/// MAINTAIN came with Postgres 17: who has everything may have it or not.
fn is_same(was: &BTreeSet<(char, bool)>, is: &BTreeSet<(char, bool)>, all: &str) -> bool {
    let has_all = |set: &BTreeSet<(char, bool)>| {
        !all.is_empty() && all.chars().all(|letter| set.contains(&(letter, false)))
    };
    was == is || (has_all(was) && has_all(is))
}

fn words(letters: &BTreeSet<char>, columns: &str) -> String {
    let each = letters.iter().map(|letter| {
        let word = match letter {
            'r' => "SELECT",
            'a' => "INSERT",
            'w' => "UPDATE",
            'd' => "DELETE",
            'D' => "TRUNCATE",
            'x' => "REFERENCES",
            't' => "TRIGGER",
            'm' => "MAINTAIN",
            'X' => "EXECUTE",
            'U' => "USAGE",
            'C' => "CREATE",
            // A later Postgres' right: the target says so.
            other => return format!("\"{other}\"{columns}"),
        };
        format!("{word}{columns}")
    });
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_with_quotes_and_signs_is_read_as_it_is_called() {
        let acl = [r#""odd ""=/ role"=r*w/postgres"#.to_owned(), "=U/postgres".to_owned()];
        let grants = parse(&acl);
        assert_eq!(
            grants,
            Grants::from([
                (r#"odd "=/ role"#.to_owned(), BTreeSet::from([('r', true), ('w', false)])),
                (PUBLIC.to_owned(), BTreeSet::from([('U', false)])),
            ])
        );
    }
}
