//! The rows of a snapshot: copied range by range, each together with its mark in the ledger, in one transaction.
//!
//! The [`Ledger`] says which tables there are, how far each is, and as of which moment; [`Copier`]s write at the same
//! time, each a range. What was committed is in the target and in the ledger, what was not is in neither.

pub(super) mod aside;
pub(super) mod asked;
mod copier;
mod error;
mod ledger;
pub(super) mod target;

pub use aside::Key;
pub(super) use aside::drop_asides;
pub use asked::{Asked, Wanted, ask, give_up, look, made, missing, pause, states, tables};
pub use copier::{Copier, Range};
pub use error::Error;
pub(super) use ledger::LEDGER;
pub use ledger::{Archive, Entry, Ledger, Phase, State, Status, Whole, Wish, status};
pub use target::{Existing, Plan, check, set_sequence};
