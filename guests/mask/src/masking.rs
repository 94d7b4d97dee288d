//! `masking`: stars over a part of a value, by the rules of pgstream's transformer of that name.
//!
//! Positions count characters, except in `default` and `custom`, which count bytes as the original does. A `custom`
//! cut inside a character is moved so that the whole character is hidden: output is UTF-8 whenever input is. In a
//! `bytea` that is not UTF-8 each byte that could begin a character counts as one.
//!
//! Some types show more than their names promise; `exposes` says what.

mod custom;

use packed::{Column, Edit, Packed};
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
            Masking::Name => column.edit(name::<ASCII>),
            Masking::Address => column.edit(address::<ASCII>),
            Masking::Email => column.edit(email::<ASCII>),
            Masking::Mobile => column.edit(overlay::<ASCII, 4, 7, 3>),
            Masking::Tel => column.map(tel),
            Masking::Id => column.edit(overlay::<ASCII, 6, 10, 4>),
            Masking::CreditCard => column.edit(overlay::<ASCII, 6, 12, 6>),
            Masking::Url => column.edit(url),
            Masking::Custom(custom) => column.edit(|value, edit| custom.mask(value, edit)),
        }
    }
}

fn stars(count: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + count, b'*');
}

/// The first place of a byte: eight bytes at a time, inline. Values are short, and a call (crate memchr) takes twice as
/// long on them as all of this.
#[inline(always)]
fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    // Zero where the byte is. A subtraction then carries into the top bit, of the first zero at the latest.
    let hit = |word: &[u8; 8]| {
        let other = u64::from_le_bytes(*word) ^ (EACH * u64::from(byte));
        let zeros = other.wrapping_sub(EACH) & !other & (EACH << 7);
        (zeros != 0).then_some(zeros.trailing_zeros() as usize / 8)
    };
    let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
        return bytes.iter().position(|other| *other == byte);
    };
    if let Some(at) = hit(first) {
        return Some(at);
    }
    // A loop costs a plugin a look at the clock in each round: none for most values.
    if bytes.len() > 16 {
        for (number, word) in bytes.as_chunks::<8>().0.iter().enumerate().skip(1) {
            if let Some(at) = hit(word) {
                return Some(number * 8 + at);
            }
        }
    }
    // What it has in common with the word before has no hit.
    hit(last).map(|at| bytes.len() - 8 + at)
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
#[inline(always)]
fn overlay<const ASCII: bool, const BEGIN: usize, const END: usize, const STARS: usize>(
    value: &[u8],
    edit: &mut Edit<'_, STARS>,
) {
    if !value.is_empty() {
        edit.stars(nth::<ASCII>(value, BEGIN), nth::<ASCII>(value, END));
    }
}

fn name<const ASCII: bool>(value: &[u8], edit: &mut Edit<'_, 2>) {
    let mut start = 0;
    for part in value.split(|byte| *byte == b' ') {
        let end = start + part.len();
        let at = |character| start + nth::<ASCII>(part, character);
        match length::<ASCII>(part) {
            // Bytes that begin no character are not shown either.
            0 if end > start => {
                edit.gap(start, end);
            }
            0 => {}
            1 => edit.stars(start, end),
            2 | 3 => edit.stars(at(1), at(2)),
            _ => edit.stars(at(1), at(3)),
        }
        start += part.len() + 1;
    }
}

fn address<const ASCII: bool>(value: &[u8], edit: &mut Edit<'_, 6>) {
    if value.is_empty() {
        return;
    }
    // One that is no longer than what would be shown is hidden as a whole.
    let shown = nth::<ASCII>(value, 6);
    edit.stars(if shown < value.len() { shown } else { 0 }, value.len());
}

/// What comes after a second `@` is dropped.
fn email<const ASCII: bool>(value: &[u8], edit: &mut Edit<'_, 4>) {
    let Some(name_end) = find(b'@', value) else {
        return overlay::<ASCII, 3, 7, 4>(value, edit);
    };
    let (name, domain) = value.split_at(name_end);
    // Nothing to hide in an empty name, and no stars to tell that it was one.
    overlay::<ASCII, 3, 7, 4>(name, edit);
    if let Some(second) = find(b'@', domain.get(1..).unwrap_or_default()) {
        edit.gap(name_end + 1 + second, value.len());
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
fn url(value: &[u8], edit: &mut Edit<'_, 0>) {
    if let Some((begin, end)) = password(value) {
        edit.gap(begin, end).extend_from_slice(b"xxxxx");
    }
}

fn password(value: &[u8]) -> Option<(usize, usize)> {
    let start = value.windows(2).position(|pair| pair == b"//")? + 2;
    let authority = value.get(start..)?.split(|byte| b"/?#".contains(byte)).next()?;
    let end = authority.iter().rposition(|byte| *byte == b'@')?;
    let colon = authority.get(..end)?.iter().position(|byte| *byte == b':')?;
    Some((start + colon + 1, start + end))
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_byte_is_found_where_it_is() {
        // Neighbours in value too: a carry must not be taken for a hit in front of the first.
        for length in 0..40 {
            for place in 0..length {
                for other in [b'?', b'A', 0, 0xFF] {
                    let mut bytes = vec![other; length];
                    assert_eq!(find(b'@', &bytes), None);
                    bytes[place..].fill(b'@');
                    assert_eq!(find(b'@', &bytes), Some(place));
                    bytes[place..].fill(b'A');
                    bytes[place] = b'@';
                    assert_eq!(find(b'@', &bytes), Some(place));
                }
            }
        }
    }
}
