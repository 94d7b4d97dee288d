//! From a call that went wrong down to the rows that did it.

use std::ops::Range;

use event::{Image, Value};
use plugin::{Bound, CallError, ColumnType, Read, Rows, Running, gather};

use crate::facts::Facts;

/// Why a row, or a call with several, went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// A word for machines.
    pub(crate) code: String,
    /// For people; may still quote a value when it is the plugin's own text.
    pub(crate) reason: String,
    /// It cost the plugin its store.
    pub(crate) crashed: bool,
}

impl Why {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into(), crashed: false }
    }

    /// Of a call. A plugin that broke its contract loses its store as if it had crashed.
    pub(crate) fn of(error: CallError, running: &mut Running) -> Self {
        match error {
            CallError::Refused(reason) => Self::new("refused", reason),
            CallError::Crashed(crash) => {
                Self { code: crash.kind().into(), reason: crash.to_string(), crashed: true }
            }
            CallError::Breach(reason) => {
                running.discard();
                let reason = format!("it broke the contract: {reason}");
                Self { code: "contract".into(), reason, crashed: true }
            }
        }
    }

    /// Without the values of the row: a text that quotes one of them is withheld whole, and any text is cut.
    pub(crate) fn without_values(
        mut self,
        image: &Image,
        row: usize,
        columns: impl Iterator<Item = usize>,
    ) -> Self {
        const LONGEST: usize = 300;
        for column in columns {
            if let Value::Present(value) = image.value(column, row)
                && quotes(&self.reason, value)
            {
                self.reason = "the plugin's reason is withheld, for it quotes the value".into();
                return self;
            }
        }
        if self.reason.len() > LONGEST {
            self.reason.truncate(self.reason.floor_char_boundary(LONGEST));
            self.reason.push('…');
        }
        self
    }
}

/// Values of one or two bytes are in any text.
fn quotes(text: &str, value: &[u8]) -> bool {
    value.len() > 2 && text.as_bytes().windows(value.len()).any(|window| window == value)
}

/// Work on rows that can be done with some of them at a time.
pub(crate) trait Halved {
    /// What comes out of a call.
    type Out;
    /// What ends the work.
    type Error;
    /// One call with these rows.
    fn once(&mut self, rows: Range<usize>) -> Result<Self::Out, Why>;
    /// One row that cannot be handled.
    fn bad(&mut self, row: usize, why: Why) -> Result<Self::Out, Self::Error>;
    /// Takes results in the order of the rows.
    fn done(&mut self, rows: Range<usize>, out: Self::Out);
}

/// Calls with all rows; where that fails, with each half, down to single rows.
pub(crate) fn halve<W: Halved>(work: &mut W, rows: Range<usize>) -> Result<(), W::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    match work.once(rows.clone()) {
        Ok(out) => work.done(rows, out),
        Err(why) if rows.len() == 1 => {
            let out = work.bad(rows.start, why)?;
            work.done(rows, out);
        }
        Err(_) => {
            let middle = rows.start + rows.len() / 2;
            halve(work, rows.start..middle)?;
            halve(work, middle..rows.end)?;
        }
    }
    Ok(())
}

/// The rows of a call, and those whose values have no form in the shape that was asked for.
pub(crate) fn call<T>(
    running: &mut Running,
    bound: Bound,
    reads: &[Read],
    (image, facts, kinds): (&Image, &Facts, &[ColumnType]),
    rows: Range<usize>,
    ask: impl FnOnce(&mut Running, Bound, &Rows<'_>) -> Result<T, CallError>,
) -> Result<(T, Vec<usize>), Why> {
    let mut unreadable = Vec::new();
    let mut columns = Vec::with_capacity(reads.len());
    for read in reads {
        let (Some(cells), Some(kind)) = (image.columns().get(read.at), kinds.get(read.at)) else {
            return Err(Why::new("missing_column", "the row lacks a column that the plugin reads"));
        };
        let gathered = gather(cells, rows.clone(), read.at, read.shape, *kind);
        unreadable.extend(gathered.unreadable);
        columns.push(gathered.column);
    }
    let call = Rows {
        count: rows.len(),
        ops: facts.ops.get(rows.clone()).unwrap_or(&[]),
        committed_at: facts.committed_at.get(rows.clone()).unwrap_or(&[]),
        nonces: facts.nonces.get(rows.clone()).unwrap_or(&[]),
        seed: facts.seed(rows.start),
        columns,
    };
    let answer = ask(running, bound, &call);
    drop(call);
    answer.map(|answer| (answer, unreadable)).map_err(|error| Why::of(error, running))
}

#[cfg(test)]
mod tests {
    use event::Cells;

    use super::*;

    #[derive(Default)]
    struct Count {
        calls: usize,
        passed: Vec<usize>,
        failed: Vec<usize>,
    }

    impl Halved for Count {
        type Out = bool;
        type Error = ();

        fn once(&mut self, rows: Range<usize>) -> Result<bool, Why> {
            self.calls += 1;
            if rows.contains(&577) { Err(Why::new("x", "y")) } else { Ok(true) }
        }

        fn bad(&mut self, row: usize, _: Why) -> Result<bool, ()> {
            self.failed.push(row);
            Ok(false)
        }

        fn done(&mut self, rows: Range<usize>, good: bool) {
            if good {
                self.passed.extend(rows);
            }
        }
    }

    #[test]
    fn one_bad_row_of_a_thousand_costs_some_twenty_calls_and_the_others_pass() {
        let mut count = Count::default();
        halve(&mut count, 0..1000).unwrap();
        assert_eq!(count.failed, [577]);
        assert_eq!(count.passed, (0..1000).filter(|row| *row != 577).collect::<Vec<_>>());
        assert!(count.calls <= 22, "{}", count.calls);
    }

    #[test]
    fn a_reason_that_quotes_a_value_is_withheld() {
        let cells: Cells = [Value::Present(b"anna@example.com".as_slice())].into_iter().collect();
        let image = Image::new(1, vec![cells]).unwrap();
        let why = Why::new("bad", "no mail: anna@example.com").without_values(&image, 0, 0..1);
        assert!(!why.reason.contains("anna"), "{}", why.reason);
        let why = Why::new("bad", "no @ in it").without_values(&image, 0, 0..1);
        assert_eq!(why.reason, "no @ in it");
        assert!(Why::new("bad", "é".repeat(400)).without_values(&image, 0, 0..1).reason.len() < 310);
    }
}
