//! A stretch of the stream that is applied at once: batches, the first and the last of them perhaps in part.

use std::sync::Arc;

use buffer::{Held, Unit};
use event::{Batch, Lsn, SchemaEntry, Step, Walk};

/// A batch, or some steps of it. The share of the memory budget goes back when the last piece is dropped.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) held: Arc<Held>,
    /// First step of `Batch::walk`.
    from: usize,
    /// The step after the last.
    to: usize,
}

impl Piece {
    /// Its steps, each with its place in the batch.
    pub(super) fn steps(&self) -> impl Iterator<Item = (usize, Walk<'_>)> + '_ {
        self.held.batch.walk().enumerate().take(self.to).skip(self.from)
    }
}

impl Piece {
    /// The steps behind its commits and heartbeats.
    fn boundaries(&self) -> impl Iterator<Item = usize> + '_ {
        let ends = self.held.batch.order.iter().scan(0, |step, part| {
            *step += steps_in(part);
            Some((*step, matches!(part, Step::Commit { .. } | Step::Heartbeat(_))))
        });
        ends.filter(|(step, ends)| *ends && *step > self.from && *step <= self.to).map(|(step, _)| step)
    }
}

/// One step of a [`Work`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) piece: usize,
    pub(super) step: usize,
}

/// What is done once a work is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    /// Source transactions that end in it.
    pub(super) transactions: u64,
    /// Where the last of them ends, or a heartbeat behind it.
    pub(super) lsn: Lsn,
    /// When it was committed, microseconds since 1970; none if there are heartbeats only.
    pub(super) committed_at: Option<i64>,
}

/// Pieces in stream order.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    pub(super) pieces: Vec<Piece>,
}

impl Work {
    /// Appends what a unit brought.
    pub(super) fn push(&mut self, unit: Unit) {
        for held in unit.batches {
            let to = steps_of(&held.batch);
            self.pieces.push(Piece { held: Arc::new(held), from: 0, to });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes of its batches, also where it has only a part of one: that much is held.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.held.batch.weight()).sum()
    }

    /// Rows of its batches, also where it has only a part of one.
    pub(super) fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.held.batch.rows()).sum()
    }

    /// Up to the last place where no transaction is open, and what comes after it.
    pub(super) fn split(self) -> (Self, Self) {
        let Some(end) = self.last_boundary() else { return (Self::default(), self) };
        self.cut(end)
    }

    /// Up to the first commit or heartbeat, and what comes after it.
    pub(super) fn split_first(self) -> (Self, Self) {
        let Some(end) = self.first_boundary() else { return (Self::default(), self) };
        self.cut(end)
    }

    /// The change of the schema that it ends with.
    pub(super) fn schema(&self) -> Option<&SchemaEntry> {
        let piece = self.pieces.last()?;
        piece.held.batch.schema().filter(|_| piece.to == steps_of(&piece.held.batch))
    }

    /// The part whose transactions are whole before the step at `place`.
    pub(super) fn before(&self, place: Place) -> Self {
        let (mut first, _) = self.clone().cut(Place { piece: place.piece, step: place.step });
        if first.pieces.is_empty() {
            return first;
        }
        first = first.split().0;
        first
    }

    /// Steps before `end`, and from it on.
    fn cut(self, end: Place) -> (Self, Self) {
        let (mut first, mut second) = (Self::default(), Self::default());
        for (at, piece) in self.pieces.into_iter().enumerate() {
            let to = match at.cmp(&end.piece) {
                std::cmp::Ordering::Less => piece.to,
                std::cmp::Ordering::Equal => end.step.clamp(piece.from, piece.to),
                std::cmp::Ordering::Greater => piece.from,
            };
            if to > piece.from {
                first.pieces.push(Piece { to, ..piece.clone() });
            }
            if to < piece.to {
                second.pieces.push(Piece { from: to, ..piece });
            }
        }
        (first, second)
    }

    /// The place behind the last commit or heartbeat.
    fn last_boundary(&self) -> Option<Place> {
        let pieces = self.pieces.iter().enumerate().rev();
        pieces
            .map(|(at, piece)| Some(Place { piece: at, step: piece.boundaries().last()? }))
            .find_map(|place| place)
    }

    /// The place behind the first.
    fn first_boundary(&self) -> Option<Place> {
        let mut pieces = self.pieces.iter().enumerate();
        pieces.find_map(|(at, piece)| Some(Place { piece: at, step: piece.boundaries().next()? }))
    }

    /// Whether it changes no row.
    pub(super) fn is_rowless(&self) -> bool {
        let mut steps = self.pieces.iter().flat_map(Piece::steps);
        !steps.any(|(_, walk)| matches!(walk, Walk::Row(_) | Walk::Truncate(_)))
    }

    /// What is done once it is applied; `None` if no transaction ends in it and there is no heartbeat.
    pub(super) fn done(&self) -> Option<Done> {
        let mut done = None;
        let mut committed_at = None;
        for (_, walk) in self.pieces.iter().flat_map(Piece::steps) {
            match walk {
                Walk::Begin(transaction) => committed_at = Some(transaction.committed_at),
                Walk::Commit { end } => {
                    let all: &mut Done = done.get_or_insert_default();
                    all.transactions += 1;
                    all.lsn = end;
                    all.committed_at = committed_at.or(all.committed_at);
                }
                Walk::Heartbeat(lsn) => done.get_or_insert_default().lsn = lsn,
                Walk::Row(_) | Walk::Truncate(_) | Walk::Schema(_) => {}
            }
        }
        done
    }
}

fn steps_of(batch: &Batch) -> usize {
    batch.order.iter().map(steps_in).sum()
}

fn steps_in(step: &Step) -> usize {
    match step {
        Step::Rows { count, .. } => *count,
        Step::Begin(_) | Step::Truncate(_) | Step::Schema(_) | Step::Commit { .. } | Step::Heartbeat(_) => 1,
    }
}
