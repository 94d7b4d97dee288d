//! What every plugin is told of the rows of an image besides their values, made once for all rules.

use event::{Chunk, OldImage, Op, Transaction};

/// One entry a row of the image.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) ops: Vec<u8>,
    pub(crate) committed_at: Vec<i64>,
    /// Empty unless a rule asks for them.
    pub(crate) nonces: Vec<u64>,
    /// Row of the chunk.
    pub(crate) rows: Vec<usize>,
    /// The numbers of the rows, made when they are needed.
    sources: Vec<(u64, u64)>,
}

impl Facts {
    fn push(&mut self, row: usize, op: Op, transaction: &Transaction, ordinal: u64) {
        self.ops.push(op as u8);
        self.committed_at.push(transaction.committed_at);
        self.rows.push(row);
        self.sources.push((transaction.commit_lsn.0, ordinal));
    }

    fn number(mut self) -> Self {
        self.nonces = self.sources.iter().map(|(lsn, ordinal)| nonce(*lsn, *ordinal)).collect();
        self
    }

    /// Commit LSN and ordinal of one row.
    pub(crate) fn source(&self, row: usize) -> (event::Lsn, u64) {
        self.sources.get(row).map_or((event::Lsn::ZERO, 0), |(lsn, ordinal)| (event::Lsn(*lsn), *ordinal))
    }

    /// The number of one row.
    pub(crate) fn seed(&self, row: usize) -> u64 {
        self.sources.get(row).map_or(0, |(lsn, ordinal)| nonce(*lsn, *ordinal))
    }
}

/// The facts of the new and of the old image of a chunk.
pub(crate) fn of(chunk: &Chunk, transactions: &[Transaction], nonces: bool) -> (Facts, Facts) {
    let (mut new, mut old) = (Facts::default(), Facts::default());
    let none = Transaction { commit_lsn: event::Lsn::ZERO, committed_at: 0, xid: 0 };
    let rows = chunk.ops.iter().zip(&chunk.old_kinds).zip(&chunk.transactions).zip(&chunk.ordinals);
    for (row, (((op, old_kind), at), ordinal)) in rows.enumerate() {
        let transaction = transactions.get(*at).unwrap_or(&none);
        if *op != Op::Delete {
            new.push(row, *op, transaction, *ordinal);
        }
        if *old_kind != OldImage::None {
            old.push(row, *op, transaction, *ordinal);
        }
    }
    if nonces { (new.number(), old.number()) } else { (new, old) }
}

/// A number of its own for each row of the source, the same when the row is delivered again: two rounds of
/// splitmix64, so that neighbours share nothing.
fn nonce(lsn: u64, ordinal: u64) -> u64 {
    mix(mix(lsn).wrapping_add(ordinal))
}

/// <https://prng.di.unimi.it/splitmix64.c>
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_numbers_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for lsn in 0..100 {
            for ordinal in 0..100 {
                assert!(seen.insert(nonce(lsn, ordinal)));
            }
        }
        assert_eq!(nonce(7, 3), nonce(7, 3));
    }
}
