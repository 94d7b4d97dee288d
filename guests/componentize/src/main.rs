//! Makes core modules into components: `componentize OUT_DIR MODULE.wasm...`. A component is passed on as it is.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let Some(out) = arguments.next() else {
        eprintln!("usage: componentize OUT_DIR MODULE.wasm...");
        return ExitCode::from(2);
    };
    for module in arguments {
        if let Err(cause) = componentize(&module, &out) {
            eprintln!("componentize: {}: {cause}", module.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn componentize(module: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let bytes = fs::read(module)?;
    let component = if is_component(&bytes) {
        bytes
    } else {
        // wit-component's errors print the whole chain of causes only in this form.
        encode(&bytes).map_err(|cause| format!("{cause:#}"))?
    };
    // A name with a dash where Cargo has an underscore: `vip-filter.wasm` from `vip_filter.wasm`.
    let stem = module.file_stem().ok_or("not a file name")?.to_string_lossy().replace('_', "-");
    fs::create_dir_all(out)?;
    // Under another name first, so that a reader never sees half a file.
    let temporary = out.join(format!("{stem}.tmp"));
    fs::write(&temporary, component)?;
    fs::rename(&temporary, out.join(format!("{stem}.wasm")))?;
    Ok(())
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

/// The layer field after the magic number: 0 for a core module, 1 for a component.
fn is_component(bytes: &[u8]) -> bool {
    bytes.get(6..8) == Some(&[1, 0])
}
