//! `masking`: stars over a part of a value, by the rules of pgstream's transformer of that name.
//!
//! Positions count characters, except in `default` and `custom`, which count bytes as the original does. A `custom`
//! cut inside a character is moved so that the whole character is hidden: output is UTF-8 whenever input is. In a
//! `bytea` that is not UTF-8 each byte that could begin a character counts as one.
//!
//! Some types show more than their names promise; `exposes` says what.

mod custom;

use memchr::memchr;
use packed::{Column, Packed, append};
use settings::{Kind, Parameter, Settings};

use custom::Custom;

pub(crate) const PARAMETERS: &[Parameter] = &[
    Parameter::optional("type", Kind::Text, "what kind of value it is").default("\"default\"").one_of(&[
        "custom",
        "password",
        "name",
        "address",
        "email",
        "mobile",
        "tel",
        "id",
        "credit_card",
        "url",
        "default",
    ]),
    Parameter::optional("mask_begin", Kind::Text, "custom: where the stars begin, as \"4\" bytes or \"15%\""),
    Parameter::optional("mask_end", Kind::Text, "custom: where the stars end, as \"12\" bytes or \"85%\""),
    Parameter::optional(
        "unmask_begin",
        Kind::Text,
        "custom: where the readable part begins; stars around it",
    ),
    Parameter::optional("unmask_end", Kind::Text, "custom: where the readable part ends; stars around it"),
];

#[derive(Debug)]
pub(crate) enum Masking {
    Default,
    Password,
    Name,
    Address,
    Email,
    Mobile,
    Tel,
    Id,
    CreditCard,
    Url,
    Custom(Custom),
}

impl Masking {
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        Ok(match settings.text("type").unwrap_or("default") {
            "custom" => Masking::Custom(Custom::new(settings)?),
            "password" => Masking::Password,
            "name" => Masking::Name,
            "address" => Masking::Address,
            "email" => Masking::Email,
            "mobile" => Masking::Mobile,
            "tel" => Masking::Tel,
            "id" => Masking::Id,
            "credit_card" => Masking::CreditCard,
            "url" => Masking::Url,
            // The parameter's list of allowed texts leaves nothing else.
            _ => Masking::Default,
        })
    }

    /// What a user may not expect to stay readable.
    pub(crate) fn exposes(&self) -> Option<&'static str> {
        match self {
            Masking::Tel => Some("masking type tel leaves a number that has not 8 or 10 digits readable"),
            Masking::Url => Some("masking type url hides the password alone"),
            Masking::Email => {
                Some("masking type email leaves the domain and a name of up to 3 characters readable")
            }
            Masking::Mobile => {
                Some("masking type mobile leaves up to 4 characters readable, and what comes after 7")
            }
            Masking::Id => {
                Some("masking type id leaves up to 6 characters readable, and what comes after 10")
            }
            Masking::CreditCard => {
                Some("masking type credit_card leaves up to 6 characters readable, and what comes after 12")
            }
            Masking::Name => Some("masking type name leaves most of a part of 2 or 3 letters readable"),
            Masking::Address => {
                Some("masking type address leaves the first 6 characters of a longer one readable")
            }
            Masking::Default | Masking::Password | Masking::Custom(_) => None,
        }
    }

    pub(crate) fn apply(&self, column: &Column<'_>) -> Packed {
        // In ASCII, which one look at the whole column tells, a character is a byte.
        if column.is_ascii() { self.column::<true>(column) } else { self.column::<false>(column) }
    }

    /// The choice is made outside the loop, so that each type has a loop of its own.
    fn column<const ASCII: bool>(&self, column: &Column<'_>) -> Packed {
        match self {
            Masking::Default => column.map(|value, out| stars(value.len(), out)),
            Masking::Password => column.map(|value, out| stars(if value.is_empty() { 0 } else { 12 }, out)),
            Masking::Name => column.map(name::<ASCII>),
            Masking::Address => column.map(address::<ASCII>),
            Masking::Email => column.map(email::<ASCII>),
            Masking::Mobile => column.map(overlay::<ASCII, 4, 7, 3>),
            Masking::Tel => column.map(tel),
            Masking::Id => column.map(overlay::<ASCII, 6, 10, 4>),
            Masking::CreditCard => column.map(overlay::<ASCII, 6, 12, 6>),
            Masking::Url => column.map(url),
            Masking::Custom(custom) => column.map(|value, out| custom.mask(value, out)),
        }
    }
}

fn stars(count: usize, out: &mut Vec<u8>) {
    const ROW: &[u8] = &[b'*'; 64];
    let mut left = count;
    while left > 0 {
        let now = ROW.get(..left).unwrap_or(ROW);
        append(out, now);
        left -= now.len();
    }
}

/// Does a character begin at this byte?
fn begins(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// The byte at which character `n` begins; the length where there are fewer.
fn nth<const ASCII: bool>(value: &[u8], n: usize) -> usize {
    if ASCII {
        return n.min(value.len());
    }
    value.iter().enumerate().filter(|(_, byte)| begins(**byte)).nth(n).map_or(value.len(), |(at, _)| at)
}

/// How many characters.
fn length<const ASCII: bool>(value: &[u8]) -> usize {
    if ASCII { value.len() } else { value.iter().filter(|byte| begins(**byte)).count() }
}

/// `STARS` stars in place of the characters from `BEGIN` to `END`.
fn overlay<const ASCII: bool, const BEGIN: usize, const END: usize, const STARS: usize>(
    value: &[u8],
    out: &mut Vec<u8>,
) {
    if value.is_empty() {
        return;
    }
    let (begin, end) = (nth::<ASCII>(value, BEGIN), nth::<ASCII>(value, END));
    if end - begin == STARS {
        // The usual case, in one copy: a copy costs more than what it copies.
        let start = out.len() + begin;
        append(out, value);
        if let Some(hidden) = out.get_mut(start..start + STARS) {
            hidden.copy_from_slice(&[b'*'; STARS]);
        }
        return;
    }
    append(out, value.get(..begin).unwrap_or_default());
    out.extend_from_slice(&[b'*'; STARS]);
    append(out, value.get(end..).unwrap_or_default());
}

fn name<const ASCII: bool>(value: &[u8], out: &mut Vec<u8>) {
    for (number, part) in value.split(|byte| *byte == b' ').enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        match length::<ASCII>(part) {
            0 => {}
            1 => stars(2, out),
            2 | 3 => overlay::<ASCII, 1, 2, 2>(part, out),
            _ => overlay::<ASCII, 1, 3, 2>(part, out),
        }
    }
}

fn address<const ASCII: bool>(value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        return;
    }
    let shown = nth::<ASCII>(value, 6);
    if shown < value.len() {
        append(out, value.get(..shown).unwrap_or_default());
    }
    stars(6, out);
}

/// What comes after a second `@` is dropped.
fn email<const ASCII: bool>(value: &[u8], out: &mut Vec<u8>) {
    let at = |from: usize| {
        let rest = value.get(from..).unwrap_or_default();
        memchr(b'@', rest).map_or(value.len(), |at| from + at)
    };
    let name_end = at(0);
    let address = value.get(..at(name_end + 1)).unwrap_or_default();
    match address.split_at_checked(name_end) {
        // Nothing to hide in an empty name, and no stars to tell that it was one.
        None | Some(([], _)) => append(out, address),
        // The stars end before the domain, so that the address can be treated as one.
        Some((name, _)) if nth::<ASCII>(name, 7) - nth::<ASCII>(name, 3) == 4 => {
            overlay::<ASCII, 3, 7, 4>(address, out)
        }
        Some((name, domain)) => {
            overlay::<ASCII, 3, 7, 4>(name, out);
            append(out, domain);
        }
    }
}

/// `(02)2799-****` for ten digits, `2799-****` for eight; else the number without its punctuation.
fn tel(value: &[u8], out: &mut Vec<u8>) {
    let digits = || value.iter().copied().filter(|byte| !b" ()-".contains(byte));
    let area = match digits().filter(|byte| begins(*byte)).count() {
        10 => 2,
        8 => 0,
        _ => return out.extend(digits()),
    };
    if area > 0 {
        out.push(b'(');
    }
    let mut seen = 0;
    for byte in digits() {
        if begins(byte) {
            if seen == area + 4 {
                break;
            }
            if seen == area && area > 0 {
                out.push(b')');
            }
            seen += 1;
        }
        out.push(byte);
    }
    out.extend_from_slice(b"-****");
}

/// The password of `scheme://user:password@host` becomes `xxxxx`; all else stays, byte for byte.
fn url(value: &[u8], out: &mut Vec<u8>) {
    let Some((begin, end)) = password(value) else {
        return append(out, value);
    };
    append(out, value.get(..begin).unwrap_or_default());
    out.extend_from_slice(b"xxxxx");
    append(out, value.get(end..).unwrap_or_default());
}

fn password(value: &[u8]) -> Option<(usize, usize)> {
    let start = value.windows(2).position(|pair| pair == b"//")? + 2;
    let authority = value.get(start..)?.split(|byte| b"/?#".contains(byte)).next()?;
    let end = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..end)?.iter().position(|byte| *byte == b':')?;
    Some((start + colon + 1, start + end))
}
