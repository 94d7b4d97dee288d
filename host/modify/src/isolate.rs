//! From a call that went wrong down to the rows that did it.

use std::ops::Range;

use event::{Image, Value};
use plugin::{Bound, CallError, ColumnType, Read, Rows, Running, gather};

use crate::facts::Facts;

/// The longest reason that is shown, in bytes.
pub(crate) const LONGEST: usize = 300;

/// Why a row, or a call with several, went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Why {
    /// A word for machines.
    pub(crate) code: String,
    /// For people; may quote a value when it is the plugin's own text.
    pub(crate) reason: String,
    /// The reason, and perhaps the code, are the plugin's words.
    told: bool,
    /// It cost the plugin its store.
    pub(crate) crashed: bool,
    /// The plugin cannot go on: no row is to blame.
    pub(crate) lost: bool,
}

impl Why {
    /// In the host's words.
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into(), told: false, crashed: false, lost: false }
    }

    /// In the plugin's.
    pub(crate) fn told(code: String, reason: String) -> Self {
        Self { code, reason, told: true, crashed: false, lost: false }
    }

    /// Of a call. A plugin that broke its contract loses its store as if it had crashed.
    pub(crate) fn of(error: CallError, running: &mut Running) -> Self {
        match error {
            CallError::Refused(reason) => Self::told("refused".into(), reason),
            CallError::Crashed(crash) => Self { crashed: true, ..Self::new(crash.kind(), crash.to_string()) },
            CallError::Breach(reason) => {
                running.discard();
                let reason = format!("it broke the contract: {reason}");
                Self { crashed: true, ..Self::new("contract", reason) }
            }
            CallError::Lost(reason) => {
                running.discard();
                Self { crashed: true, lost: true, ..Self::new("lost", reason) }
            }
        }
    }

    /// Fit to be shown: words of the plugin that quote a value of these columns, of whatever row, are withheld; the
    /// rest is one line of bounded length.
    pub(crate) fn shown(mut self, image: &Image, columns: &[usize]) -> Self {
        if self.told {
            if !is_word(&self.code) || quotes_any(&self.code, image, columns) {
                self.code = "failed".into();
            }
            if quotes_any(&self.reason, image, columns) {
                self.reason = "the plugin's reason is withheld, for it quotes the value".into();
            }
        }
        self.reason = plugin::one_line(&self.reason, LONGEST);
        self
    }
}

/// `too_long`, `not-a-date`.
fn is_word(code: &str) -> bool {
    (1..=40).contains(&code.len())
        && code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn quotes_any(text: &str, image: &Image, columns: &[usize]) -> bool {
    let values = columns.iter().flat_map(|column| (0..image.rows()).map(|row| image.value(*column, row)));
    values.into_iter().any(|value| matches!(value, Value::Present(value) if quotes(text, value)))
}

/// The beginning of a value is enough: a plugin may cut what it quotes. Values of one or two bytes are in any text.
fn quotes(text: &str, value: &[u8]) -> bool {
    let start = value.get(..12).unwrap_or(value);
    start.len() > 2 && text.as_bytes().windows(start.len()).any(|window| window == start)
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
        Err(why) if rows.len() == 1 || why.lost => {
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

    fn image(values: &[&[u8]]) -> Image {
        let cells: Cells = values.iter().map(|value| Value::Present(value)).collect();
        Image::new(values.len(), vec![cells]).unwrap()
    }

    fn told(code: &str, reason: &str, image: &Image) -> (String, String) {
        let why = Why::told(code.into(), reason.into()).shown(image, &[0]);
        (why.code, why.reason)
    }

    #[test]
    fn words_of_a_plugin_that_quote_a_value_are_withheld() {
        let image = image(&[b"other", b"anna@example.com", b"ok", b"two\nlines"]);
        for text in ["no mail: anna@example.com", "no mail: anna@example...", "beside other", "two\nlines"] {
            let (code, reason) = told("bad", text, &image);
            assert_eq!(code, "bad");
            assert_eq!(reason, "the plugin's reason is withheld, for it quotes the value");
        }
        assert_eq!(told("other", "no @ in it", &image), ("failed".into(), "no @ in it".into()));
        assert_eq!(told("not_a_mail", "it is not ok", &image), ("not_a_mail".into(), "it is not ok".into()));
        assert_eq!(
            Why::new("x", "each other row").shown(&image, &[0]).reason,
            "each other row",
            "our own words"
        );
    }

    #[test]
    fn words_of_a_plugin_are_one_short_line_and_its_code_is_a_word() {
        let image = image(&[]);
        assert!(told("x", &"é".repeat(400), &image).1.len() < 310);
        assert_eq!(told("x", "a\nERROR b", &image).1, "a ERROR b");
        for code in ["", "Two Words", "é", "a\nb", &"x".repeat(41)] {
            assert_eq!(told(code, "", &image).0, "failed", "{code}");
        }
    }
}
