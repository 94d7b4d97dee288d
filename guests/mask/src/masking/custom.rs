//! `masking` of type `custom`: from here to there, as bytes or as a share of the value.

use packed::Edit;
use settings::Settings;

use super::{begins, stars};

/// A place in a value.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Bytes from the start.
    At(i64),
    Percent(i64),
}

impl Place {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (number, place): (_, fn(i64) -> Self) = match text.strip_suffix('%') {
            Some(number) => (number, Place::Percent),
            None => (text, Place::At),
        };
        let number = number.parse().map_err(|_| {
            format!(
                "masking: {name} must be a whole number of bytes, as in \"4\", or a percentage, as in \"15%\""
            )
        })?;
        Ok(place(number))
    }

    fn of(self, length: usize) -> usize {
        match self {
            Place::At(bytes) => usize::try_from(bytes.max(0)).unwrap_or(usize::MAX).min(length),
            // Whole values times hundreds could be too much for 32 bits.
            Place::Percent(share) => (length as u64 * share.clamp(0, 100) as u64 / 100) as usize,
        }
    }

    fn is_start(self) -> bool {
        let (Place::At(number) | Place::Percent(number)) = self;
        number <= 0
    }

    fn is_end(self) -> bool {
        matches!(self, Place::Percent(100..))
    }

    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Place::At(a), Place::At(b)) | (Place::Percent(a), Place::Percent(b)) if a == b => true,
            _ => (self.is_start() && other.is_start()) || (self.is_end() && other.is_end()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Custom {
    begin: Place,
    end: Place,
    /// Stars around the range, not in it.
    outside: bool,
}

impl Custom {
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let place = |name| settings.text(name).map(|text| Place::parse(name, text)).transpose();
        let mask = (place("mask_begin")?, place("mask_end")?);
        let unmask = (place("unmask_begin")?, place("unmask_end")?);
        let outside = unmask.0.or(unmask.1).is_some();
        if outside && mask.0.or(mask.1).is_some() {
            return Err(
                "masking: mask and unmask parameters cannot be used together: leave one pair out".into()
            );
        }
        let (begin, end) = if outside { unmask } else { mask };
        let (begin, end) = (begin.unwrap_or(Place::Percent(0)), end.unwrap_or(Place::Percent(100)));
        let covers_nothing = if outside {
            (begin.is_start() && end.is_end()) || (end.is_start() && begin.is_end())
        } else {
            begin.is_same(end)
        };
        if covers_nothing {
            return Err(
                "masking: the mask covers nothing: begin and end leave every character readable".into()
            );
        }
        Ok(Self { begin, end, outside })
    }

    pub(crate) fn mask(&self, value: &[u8], edit: &mut Edit<'_, 0>) {
        let (a, b) = (self.begin.of(value.len()), self.end.of(value.len()));
        let (a, b) = (a.min(b), a.max(b));
        if self.outside {
            // What is readable shrinks to whole characters.
            let (a, b) = (up(value, a), down(value, b));
            let b = b.max(a);
            stars(a, edit.gap(0, a));
            stars(value.len() - b, edit.gap(b, value.len()));
        } else if a < b {
            // What is hidden grows to whole characters.
            let (a, b) = (down(value, a), up(value, b));
            stars(b - a, edit.gap(a, b));
        }
    }
}

/// The nearest place at or before `at` where a character begins.
fn down(value: &[u8], mut at: usize) -> usize {
    while at > 0 && value.get(at).is_some_and(|byte| !begins(*byte)) {
        at -= 1;
    }
    at
}

/// The nearest place at or after `at` where a character begins, or the end.
fn up(value: &[u8], mut at: usize) -> usize {
    while value.get(at).is_some_and(|byte| !begins(*byte)) {
        at += 1;
    }
    at
}
