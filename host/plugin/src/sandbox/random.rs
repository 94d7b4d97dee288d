//! Random numbers that are the same when a batch is delivered again.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use rand_core::TryRng;
use sha2::{Digest, Sha256};

/// SHA-256 over a seed and a counter. Cloned handles go on with one stream; only the thread of the store draws.
#[derive(Clone)]
pub(super) struct Random {
    base: [u8; 32],
    stream: Arc<Mutex<Stream>>,
}

struct Stream {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    pub(super) fn new(base: [u8; 32]) -> Self {
        let stream = Stream { seed: base, counter: 0, block: [0; 32], used: 32 };
        Self { base, stream: Arc::new(Mutex::new(stream)) }
    }

    /// Starts the stream that belongs to a rule and to the first row of a call.
    pub(super) fn reseed(&mut self, rule: &[u8], first_row: u64) {
        let mut hash = Sha256::new();
        hash.update(self.base);
        hash.update(rule);
        hash.update(first_row.to_le_bytes());
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        *stream = Stream { seed: hash.finalize().into(), counter: 0, block: [0; 32], used: 32 };
    }
}

impl Stream {
    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_le_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        byte
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in out {
            *byte = stream.byte();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(random: &mut Random) -> [u8; 40] {
        let mut out = [0; 40];
        random.try_fill_bytes(&mut out).unwrap();
        out
    }

    #[test]
    fn one_seed_gives_one_stream_and_another_rule_or_row_another() {
        let mut random = Random::new([1; 32]);
        let mut of = |rule: &[u8], row| {
            random.reseed(rule, row);
            draw(&mut random)
        };
        let first = of(b"rule", 1);
        assert_eq!(first, of(b"rule", 1));
        assert_ne!(first, of(b"rule", 2));
        assert_ne!(first, of(b"other", 1));
        assert_ne!(first, draw(&mut Random::new([2; 32])));
    }
}
