//! Finding the values of a change among the columns of a work's batches.

use event::{Chunk, Image, OldImage, RowAt, Value};

use super::work::Work;

/// Stands for an image that a change does not have.
const NONE: u32 = u32::MAX;

/// Where the images of one change are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    piece: u32,
    chunk: u32,
    new: u32,
    old: u32,
}

impl At {
    /// The place of a row of `piece`. A unit never has four billion of anything.
    pub(super) fn new(piece: usize, row: &RowAt) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(NONE);
        Self {
            piece: narrow(piece),
            chunk: narrow(row.chunk),
            new: row.new.map_or(NONE, narrow),
            old: row.old.map_or(NONE, narrow),
        }
    }
}

/// A change's key: in its new image, or in its old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyAt {
    pub(super) at: At,
    pub(super) old: bool,
}

/// The rows of a work.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    work: &'a Work,
}

impl<'a> Rows<'a> {
    pub(super) fn new(work: &'a Work) -> Self {
        Self { work }
    }

    fn chunk(self, at: At) -> Option<&'a Chunk> {
        self.work.pieces.get(at.piece as usize)?.held.batch.chunks.get(at.chunk as usize)
    }

    /// The new image, and the row in it.
    pub(super) fn new_image(self, at: At) -> Option<(&'a Image, usize)> {
        self.chunk(at).map(|chunk| (&chunk.new, at.new as usize))
    }

    /// The image that holds the key, and the row in it.
    pub(super) fn key_image(self, key: KeyAt) -> Option<(&'a Image, usize)> {
        if !key.old {
            return self.new_image(key.at);
        }
        self.chunk(key.at).map(|chunk| (&chunk.old, key.at.old as usize))
    }

    /// A value of the new image.
    pub(super) fn after(self, at: At, column: usize) -> Value<'a> {
        self.chunk(at).map_or(Value::Null, |chunk| chunk.new.value(column, at.new as usize))
    }

    /// A value of the old image.
    pub(super) fn before(self, at: At, column: usize) -> Value<'a> {
        self.chunk(at).map_or(Value::Null, |chunk| chunk.old.value(column, at.old as usize))
    }

    /// A value of the image that holds the key.
    pub(super) fn of_key(self, key: KeyAt, column: usize) -> Value<'a> {
        if key.old { self.before(key.at, column) } else { self.after(key.at, column) }
    }

    /// Whether a value of the new image is unchanged, as TOASTed ones may be.
    pub(super) fn has_unchanged(self, at: At) -> bool {
        let Some(chunk) = self.chunk(at) else { return false };
        // A column without states has every value: that is nearly always so, and cheap to see.
        let odd = chunk.new.columns().iter().filter(|cells| !cells.states().is_empty());
        odd.map(|cells| cells.get(at.new as usize)).any(|value| value == Value::Unchanged)
    }
}

/// Whether the change carries its old key or row.
pub(super) fn has_old(row: &RowAt) -> bool {
    row.old_kind != OldImage::None
}
