//! Keys: the root key stays in the host, a rule gets one derived from it and its consistency domain.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;

/// In front of every domain, so that no other use of the root key can give the same bytes.
const LABEL: &[u8] = b"pgstream/v1/domain/";

/// The root key: 32 bytes that never leave the host.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey([u8; 32]);

/// The text is not a root key.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("the root key is not 64 hexadecimal digits")]
#[diagnostic(code(plugin::root_key), help("make one with `openssl rand -hex 32`"))]
pub struct InvalidRootKey;

impl RootKey {
    /// From its 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From 64 hexadecimal digits; white space around them is ignored.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_hex(text: &str) -> Result<Self, InvalidRootKey> {
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return Err(InvalidRootKey);
        }
        let mut key = [0; 32];
        for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| InvalidRootKey)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| InvalidRootKey)?;
        }
        Ok(Self(key))
    }

    /// The key of a consistency domain: HKDF-SHA256 with an empty salt. Columns that name one domain get one key.
    #[must_use]
    pub fn derive(&self, domain: &str) -> [u8; 32] {
        let mut key = [0; 32];
        // Fails only for more than 255 blocks of 32 bytes.
        let _ = Hkdf::<Sha256>::new(None, &self.0).expand_multi_info(&[LABEL, domain.as_bytes()], &mut key);
        key
    }
}

/// Never the bytes.
impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(32 B)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_has_one_key_and_another_domain_another() {
        let root = RootKey::new([7; 32]);
        assert_eq!(root.derive("public.users.email"), root.derive("public.users.email"));
        assert_ne!(root.derive("public.users.email"), root.derive("public.users.phone"));
        assert_ne!(root.derive("a"), RootKey::new([8; 32]).derive("a"));
        assert_ne!(root.derive("a"), [0; 32]);
    }

    #[test]
    fn hex_is_read_and_never_printed() {
        let key = RootKey::from_hex(&format!(" {}\n", "0f".repeat(32))).unwrap();
        assert_eq!(key, RootKey::new([15; 32]));
        assert_eq!(format!("{key:?}"), "RootKey(32 B)");
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert!(RootKey::from_hex(bad).is_err());
        }
    }
}
