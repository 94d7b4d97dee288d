//! AES-SIV (RFC 5297) with a key of 64 bytes and one associated text, as tink writes it: base64url without padding of
//! the 16 bytes of the synthetic IV and the ciphertext.
//!
//! Only encryption. What does not depend on the value is worked out once, and the blocks of all values of a column go
//! through the cipher together: the constant-time cipher takes two at the price of one.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use packed::{Column, Packed};

const BLOCK: usize = 16;

pub(crate) struct Siv {
    /// Keyed with the first half of the key: makes the IV.
    mac: Cmac,
    /// Keyed with the second half: makes the key stream.
    stream: Aes256,
    /// The chain of S2V up to the value: the MAC of zeros, doubled, and the MAC of the associated text.
    chain: u128,
}

impl Siv {
    pub(crate) fn new(offer: &str, key_hex: &str, associated: &[u8]) -> Result<Self, String> {
        let Some(key) = unhex(key_hex) else {
            return Err(format!("{offer}: key_hex must be 64 bytes: 128 hex digits and nothing else"));
        };
        let (first, second) = key.split_at(32);
        let cipher = |half: &[u8]| {
            Aes256::new_from_slice(half).map_err(|_| format!("{offer}: key_hex must be 64 bytes"))
        };
        let mac = Cmac::new(cipher(first)?);
        // An empty text is passed on too: to leave it out would be another chain.
        let tags = mac.tags(&[&[0; BLOCK], associated]);
        let chain = tags.iter().fold(0, |chain, tag| double(chain) ^ tag);
        Ok(Self { mac, stream: cipher(second)?, chain })
    }

    pub(crate) fn apply(&self, column: &Column<'_>) -> Packed {
        let values: Vec<&[u8]> = column.values().flatten().collect();
        let sealed = self.seal(&values);
        let mut sealed = sealed.values();
        column.map(|_, out| {
            let sealed = sealed.next().unwrap_or_default();
            let start = out.len();
            out.resize(start + (sealed.len() * 4).div_ceil(3), 0);
            // The room is that of a token without padding, and so it fits.
            if let Some(token) = out.get_mut(start..) {
                let _ = URL_SAFE_NO_PAD.encode_slice(sealed, token);
            }
        })
    }

    /// The IV and the ciphertext of each value.
    fn seal(&self, values: &[&[u8]]) -> Packed {
        let ivs = self.ivs(values);
        let mut stream = Vec::with_capacity(values.iter().map(|value| value.len().div_ceil(BLOCK)).sum());
        for (iv, value) in ivs.iter().zip(values) {
            // The RFC clears two bits, so that adding in words of 32 or 64 bits gives the same.
            let first = iv & !((1 << 63) | (1 << 31));
            let blocks = 0..value.len().div_ceil(BLOCK) as u128;
            stream.extend(blocks.map(|block| Array(first.wrapping_add(block).to_be_bytes())));
        }
        self.stream.encrypt_blocks(&mut stream);

        let mut sealed = Packed::with_capacity(values.len(), (stream.len() + values.len()) * BLOCK);
        let mut stream = stream.iter();
        for (iv, value) in ivs.iter().zip(values) {
            sealed.data.extend_from_slice(&iv.to_be_bytes());
            for (chunk, keys) in value.chunks(BLOCK).zip(&mut stream) {
                sealed.data.extend(chunk.iter().zip(keys).map(|(byte, key)| byte ^ key));
            }
            sealed.end();
        }
        sealed
    }

    /// S2V of the associated text and each value.
    fn ivs(&self, values: &[&[u8]]) -> Vec<u128> {
        let bytes = values.iter().map(|value| value.len().max(BLOCK)).sum();
        let mut chained = Packed::with_capacity(values.len(), bytes);
        for value in values {
            let (before, last) = match value.split_last_chunk() {
                Some((before, last)) => (before, u128::from_be_bytes(*last) ^ self.chain),
                None => (Default::default(), padded(value) ^ double(self.chain)),
            };
            chained.data.extend_from_slice(before);
            chained.data.extend_from_slice(&last.to_be_bytes());
            chained.end();
        }
        let messages: Vec<&[u8]> = chained.values().collect();
        self.mac.tags(&messages)
    }
}

/// CMAC (RFC 4493) with AES-256.
struct Cmac {
    cipher: Aes256,
    /// Goes into a last block that is full.
    full: u128,
    /// Goes into a last block that had to be padded.
    short: u128,
}

impl Cmac {
    fn new(cipher: Aes256) -> Self {
        let mut zeros = Block::default();
        cipher.encrypt_block(&mut zeros);
        let full = double(u128::from_be_bytes(zeros.0));
        Self { cipher, full, short: double(full) }
    }

    /// The tag of each message. A chain goes block by block, so the chains of all messages go side by side.
    fn tags(&self, messages: &[&[u8]]) -> Vec<u128> {
        let mut tags = vec![0; messages.len()];
        let mut rest: Vec<_> = tags.iter_mut().zip(messages.iter().copied()).collect();
        let mut blocks: Vec<Block> = Vec::with_capacity(rest.len());
        while !rest.is_empty() {
            blocks.clear();
            blocks
                .extend(rest.iter().map(|(tag, message)| Array((**tag ^ self.block(message)).to_be_bytes())));
            self.cipher.encrypt_blocks(&mut blocks);
            let mut blocks = blocks.iter();
            rest.retain_mut(|(tag, message)| {
                if let Some(block) = blocks.next() {
                    **tag = u128::from_be_bytes(block.0);
                }
                *message = message.get(BLOCK..).unwrap_or_default();
                !message.is_empty()
            });
        }
        tags
    }

    /// The first block of what is left of a message.
    fn block(&self, message: &[u8]) -> u128 {
        match message.split_first_chunk() {
            Some((block, [])) => u128::from_be_bytes(*block) ^ self.full,
            Some((block, _)) => u128::from_be_bytes(*block),
            None => padded(message) ^ self.short,
        }
    }
}

/// A block of fewer than 16 bytes, a one bit and zeros.
fn padded(short: &[u8]) -> u128 {
    let mut block = [0; BLOCK];
    for (to, from) in block.iter_mut().zip(short.iter().chain(&[0x80])) {
        *to = *from;
    }
    u128::from_be_bytes(block)
}

/// Multiplication by x in the field of RFC 5297, section 2.3, without a branch on a secret.
fn double(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}

fn unhex(text: &str) -> Option<[u8; 64]> {
    let digits: &[u8; 128] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 64];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        for &digit in pair {
            *byte = *byte << 4 | u8::try_from(char::from(digit).to_digit(16)?).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use aes_siv::KeyInit;
    use aes_siv::siv::Aes256Siv;

    use super::*;

    #[test]
    fn every_length_is_sealed_as_crate_aes_siv_does() {
        let key: [u8; 64] = std::array::from_fn(|at| (at * 37 + 11) as u8);
        let hex: String = key.iter().map(|byte| format!("{byte:02X}")).collect();
        for associated in ["", "a", "public.orders.file_path"] {
            let siv = Siv::new("encrypted_aes_siv", &hex, associated.as_bytes()).unwrap();
            let mut reference = Aes256Siv::new(&Array(key));
            let lengths = || (0..70usize).chain([4097, 0, 256, 1000]);
            let values: Vec<Vec<u8>> =
                lengths().map(|length| (0..length).map(|at| (at * 7 + length) as u8).collect()).collect();
            let sealed = siv.seal(&values.iter().map(Vec::as_slice).collect::<Vec<_>>());
            assert_eq!(sealed.values().count(), values.len());
            for (sealed, value) in sealed.values().zip(&values) {
                let expected = reference.encrypt([associated.as_bytes()], value).unwrap();
                assert_eq!(sealed, expected, "{} bytes", value.len());
            }
        }
    }

    #[test]
    fn a_key_is_128_hex_digits_and_nothing_else() {
        let digits = "0f".repeat(64);
        assert!(Siv::new("e", &digits, b"").is_ok());
        assert!(Siv::new("e", &digits.to_uppercase(), b"").is_ok());
        for wrong in [
            "",
            &digits[1..],
            &digits.replace("f0", "+1"),
            &format!("{digits}0"),
            &digits.replacen('f', "g", 1),
        ] {
            let refused = Siv::new("e", wrong, b"").err().unwrap();
            assert!(refused.contains("64 bytes") && (wrong.is_empty() || !refused.contains(wrong)));
        }
    }
}
