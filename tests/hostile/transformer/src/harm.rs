//! The harms, by the name of their offer.

use std::hint::black_box;

use crate::Transform;
use crate::exports::pgstream::plugin::transformer::{self, GuestTransform as _, Needs, Output, Read, Rows};
use crate::pgstream::plugin::data::{Column, Failure, Packed, Shape, Values};
use crate::pgstream::plugin::host::{Level, log};

/// What happens in `bind`.
pub fn in_bind(harm: &str, needs: &mut Needs) -> Result<(), String> {
    match harm {
        "bind-loop" => for_ever(),
        "bind-panic" => panic!("in bind"),
        "bind-grow" => grow(),
        "bind-huge" => return Err("x".repeat(17 << 20)),
        "bind-many-reads" => {
            let read = needs.reads[0];
            needs.reads = vec![read; 100_000];
        }
        "bind-reads-beyond" => needs.reads.push(Read { at: 9_999, shape: Shape::Text }),
        "bind-writes-beyond" => needs.writes.push(9_999),
        "bind-log-flood" => (0..1_000).for_each(|line| log(Level::Error, &format!("flooded {line}"))),
        "bind-refuse-in-lines" => {
            return Err("no\n2026-01-01T00:00:00Z ERROR a line of its own\x1b[2J".into());
        }
        _ => {}
    }
    Ok(())
}

/// The handle that `bind` gives back.
pub fn to_handle(harm: &str, bound: transformer::Transform) -> transformer::Transform {
    if harm != "bind-dead" {
        return bound;
    }
    let handle = bound.take_handle();
    // SAFETY: none. That is the harm: the host is given a handle that is gone.
    unsafe {
        drop(transformer::Transform::from_handle(handle));
        transformer::Transform::from_handle(handle)
    }
}

/// What happens on the row: `good` is what an honest plugin would give back for the whole call.
pub fn on_row(harm: &str, value: &str, row: usize, count: u32, mut good: Output) -> Result<Output, String> {
    match harm {
        "loop" => for_ever(),
        "panic" => panic!("on the row"),
        // The text goes to standard error where there is one.
        "panic-that-quotes" => panic!("on {value}"),
        "recurse" => {
            black_box(deeper(black_box(1)));
        }
        "recurse-in-memory" => {
            black_box(deeper_in_memory(black_box(1)));
        }
        "grow" => grow(),
        "fewer-columns" => good.columns.clear(),
        "more-columns" => good.columns.push(texts(count)),
        "other-column" => good.columns[0].at = 0,
        "fewer-rows" => good.columns[0] = Column { at: good.columns[0].at, ..texts(count - 1) },
        "more-rows" => good.columns[0] = Column { at: good.columns[0].at, ..texts(count + 1) },
        "fewer-ends" => drop(packed(&mut good).ends.pop()),
        // The last end stays right where there is more than one.
        "ends-backwards" => packed(&mut good).ends[row.min((count as usize).saturating_sub(2))] = u32::MAX,
        "ends-beyond" => {
            if let Some(last) = packed(&mut good).ends.last_mut() {
                *last += 1_000;
            }
        }
        "ends-in-character" => {
            // An é whose second byte is said to be another row's, or nobody's.
            let packed = packed(&mut good);
            let end = packed.ends[row] as usize;
            packed.data.splice(end..end, *"é".as_bytes().first_chunk::<2>().unwrap());
            packed.ends[row] += 1;
            packed.ends[row + 1..].iter_mut().for_each(|end| *end += 2);
        }
        "not-utf8" => at_row(&mut good, row, 0xFF),
        "nul" => at_row(&mut good, row, 0),
        "other-shape" => {
            good.columns[0].values = Values::Floats(vec![f64::NAN; count as usize]);
        }
        "not-a-number" => {
            let mut text = Packed { ends: vec![], data: vec![] };
            if let Values::Ints(values) = &good.columns[0].values {
                for (at, value) in values.iter().enumerate() {
                    text.data.extend(if at == row { "x".into() } else { value.to_string() }.bytes());
                    text.ends.push(text.data.len() as u32);
                }
            }
            good.columns[0].values = Values::Text(text);
        }
        "out-of-range" => {
            if let Values::Ints(values) = &mut good.columns[0].values {
                values[row] = i64::MAX;
            }
        }
        "unknown-state" => states(&mut good, count)[row] = 77,
        "unchanged-state" => states(&mut good, count)[row] = 2,
        "more-states" => states(&mut good, count).push(0),
        "failure-of-no-row" => good.failures.push(failure(count, "no such row")),
        "too-many-failures" => good.failures = vec![failure(row as u32, "again"); 5_000],
        "failure-that-quotes" => {
            let mut failure = failure(row as u32, &format!("cannot do {value}"));
            failure.code = value.into();
            good.failures.push(failure);
        }
        // Says of the first row what is in another.
        "failure-of-another-row" => good.failures.push(failure(0, &format!("beside {value}"))),
        "refuse-that-quotes" => return Err(format!("cannot do {value}")),
        "huge" => {
            packed(&mut good).data = vec![b'x'; 20 << 20];
        }
        "huge-list" => good.failures = vec![failure(0, ""); 100_000],
        "log-flood" => loop {
            log(Level::Error, value);
        },
        "log-that-quotes" => log(Level::Error, &format!("here is {value}\nERROR and a line of its own")),
        "drop-twice" => {
            let harmless = Transform { harm: String::new(), value: String::new(), armed: false.into() };
            let handle = transformer::Transform::new(harmless).take_handle();
            // SAFETY: none. That is the harm.
            unsafe {
                drop(transformer::Transform::from_handle(handle));
                drop(transformer::Transform::from_handle(handle));
            }
        }
        "leak-handles" => loop {
            // No memory of its own: what grows is the host's table of handles.
            // SAFETY: none. Nobody ever looks at what they stand for.
            unsafe { Transform::_resource_new(std::ptr::null_mut()) };
        },
        _ => {}
    }
    Ok(good)
}

/// Anything that the types allow, as the text of the row has it.
pub fn garbage(text: &str, rows: Rows) -> Result<Output, String> {
    let mut dice = Dice(
        text.bytes()
            .fold(0x9E37_79B9_7F4A_7C15, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3)),
    );
    let count = rows.count as usize;
    let target = rows.columns[0].at;
    let columns = (0..dice.rarely(1, 3)).map(|_| Column {
        at: if dice.one_in(8) { dice.below(9) as u16 } else { target },
        states: if dice.one_in(2) {
            vec![]
        } else {
            (0..dice.rarely(count, 4)).map(|_| dice.below(4) as u8).collect()
        },
        values: match dice.below(12) {
            0 => Values::Ints((0..dice.rarely(count, 4)).map(|_| dice.next() as i64).collect()),
            1 => Values::Floats((0..dice.rarely(count, 4)).map(|_| f64::from_bits(dice.next())).collect()),
            2 => Values::Bools((0..dice.rarely(count, 4)).map(|_| dice.below(4) as u8).collect()),
            3 => Values::Bytes(dice.packed(count)),
            _ => Values::Text(dice.packed(count)),
        },
    });
    let columns = columns.collect();
    let failures =
        (0..dice.rarely(0, 3)).map(|_| failure(dice.below(count as u64 + 2) as u32, text)).collect();
    Ok(Output { columns, failures })
}

/// xorshift64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// Mostly that number, else one near it.
    fn rarely(&mut self, number: usize, most: u64) -> usize {
        if self.one_in(6) { number + self.below(most) as usize } else { number }
    }

    fn packed(&mut self, count: usize) -> Packed {
        let data: Vec<u8> = (0..self.below(30)).map(|_| if self.one_in(20) { 0xC3 } else { b'a' }).collect();
        let mut ends: Vec<u32> =
            (0..self.rarely(count, 3)).map(|_| self.below(data.len() as u64 + 1) as u32).collect();
        if !self.one_in(4) {
            ends.sort_unstable();
        }
        if let (Some(last), false) = (ends.last_mut(), self.one_in(4)) {
            *last = data.len() as u32;
        }
        Packed { ends, data }
    }
}

fn for_ever() -> ! {
    loop {
        black_box(());
    }
}

/// Uses up the stack of the engine.
fn deeper(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    // Not in tail position, so that it stays a call.
    1 + deeper(black_box(depth + 1))
}

/// Uses up the stack that the guest has in its own memory.
fn deeper_in_memory(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    if depth == u64::MAX {
        return 0;
    }
    frame[0] + deeper_in_memory(black_box(depth + 1))
}

/// Takes memory without end, and writes to all of it.
fn grow() {
    let mut all = Vec::new();
    loop {
        all.push(vec![1_u8; 1 << 20]);
        black_box(&all);
    }
}

fn texts(count: u32) -> Column {
    let data = vec![b'x'; count as usize];
    Column { at: 0, states: vec![], values: Values::Text(Packed { ends: (1..=count).collect(), data }) }
}

fn packed(good: &mut Output) -> &mut Packed {
    match &mut good.columns[0].values {
        Values::Text(packed) => packed,
        _ => panic!("for columns of text"),
    }
}

/// Puts a byte in place of the last one of the row's text.
fn at_row(good: &mut Output, row: usize, byte: u8) {
    let packed = packed(good);
    let end = packed.ends[row] as usize;
    packed.data[end - 1] = byte;
}

fn states(good: &mut Output, count: u32) -> &mut Vec<u8> {
    let states = &mut good.columns[0].states;
    states.resize(count as usize, 0);
    states
}

fn failure(row: u32, message: &str) -> Failure {
    Failure { row, code: "hostile".into(), message: message.into() }
}
