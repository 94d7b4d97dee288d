//! Puts the standard components into the binary. `make guests` builds them.

use std::path::PathBuf;

fn main() {
    // Asked for when it runs: a target directory may be shared by checkouts in different places.
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let components = folder("CARGO_MANIFEST_DIR").join("../../guests/target/components");
    for name in ["inject", "filter", "mask"] {
        let from = components.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", from.display());
        let to = folder("OUT_DIR").join(name).with_extension("wasm");
        if !from.is_file() {
            println!("cargo::error=the standard plugin `{name}` is not built: run `make guests` first");
        } else if let Err(error) = std::fs::copy(&from, &to) {
            println!("cargo::error=copy {} to {}: {error}", from.display(), to.display());
        }
    }
}
