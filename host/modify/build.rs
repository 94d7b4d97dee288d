//! Puts the standard components into the binary. `make guests` builds them.

use std::path::Path;

fn main() {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests/target/components");
    for name in ["inject", "filter", "mask"] {
        let path = components.join(name).with_extension("wasm");
        println!("cargo::rerun-if-changed={}", path.display());
        if !path.is_file() {
            println!("cargo::error=the standard plugin `{name}` is not built: run `make guests` first");
        }
    }
    println!("cargo::rustc-env=PGSTREAM_COMPONENTS={}", components.display());
}
