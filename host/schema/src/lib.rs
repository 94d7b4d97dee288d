//! What `pgstream.schema_log` holds: documents of objects, the changes of a statement, and the statements that do the
//! same on a target.
//!
//! Objects are the same if their oid is, so a rename is a rename. The text of a definition is never searched: it is
//! compared, and passed on. One thing stands in the text of a statement alone, USING, and a parser reads it there.

mod diff;
mod document;
mod log;
mod name;
mod privileges;
mod seen;
mod statement;
mod using;

pub use diff::{Retyping, between, keeps_types, retypings, statements};
pub use document::{
    Attribute, Column, Constraint, Extension, Function, IdentitySequence, Index, Label, Namespace, NotNull,
    Object, Oid, OwnedBy, Policy, Relative, Rule, Sequence, Statistics, Stored, Switched, Table, Trigger,
    Type, TypeKind, View, ViewColumn,
};
pub use log::{Change, NotFollowed, Rewrite, Unreadable};
pub use name::Name;
pub use privileges::privileges;
pub use seen::seen;
pub use statement::{Effect, Kind, Statement};
pub use using::{Retyped, Using};
