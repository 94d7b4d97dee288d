//! The standard plugins, inside the binary. They are loaded like any other and have no privilege.

use std::borrow::Cow;

use plugin::Source;

/// The standard injector: offer `identity`.
#[must_use]
pub fn injector() -> Source {
    embedded("inject", include_bytes!(concat!(env!("OUT_DIR"), "/inject.wasm")))
}

/// The standard filter: offer `tables`.
#[must_use]
pub fn filter() -> Source {
    embedded("filter", include_bytes!(concat!(env!("OUT_DIR"), "/filter.wasm")))
}

/// The standard transformers: `masking`, `literal_string`, `null`, `encrypted_aes_siv`, `noop`.
#[must_use]
pub fn transformers() -> Source {
    embedded("mask", include_bytes!(concat!(env!("OUT_DIR"), "/mask.wasm")))
}

fn embedded(name: &str, bytes: &'static [u8]) -> Source {
    Source::Bytes { name: name.into(), bytes: Cow::Borrowed(bytes) }
}
