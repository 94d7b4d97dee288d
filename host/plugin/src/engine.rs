//! The WebAssembly engine of the process: one compiler, one cache, one clock for time limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Cache, CacheConfig, Config};

use crate::LoadError;
use crate::sandbox::{self, State, TICK};
use crate::v0;

/// Where compiled components are kept between two starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheDirectory {
    /// `$XDG_CACHE_HOME/pgstream`, or `~/.cache/pgstream`; nowhere if neither can be written.
    #[default]
    Default,
    /// This directory.
    At(PathBuf),
    /// Nowhere: each start compiles again.
    Off,
}

/// The engine. Cloning shares it.
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasmtime: wasmtime::Engine,
    pub(crate) linker: Arc<Linker<State>>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// An engine with its clock running. The clock's thread ends when the last clone is gone.
    ///
    /// # Errors
    /// The engine does not support this machine.
    pub fn new(cache: &CacheDirectory) -> Result<Self, LoadError> {
        let failed = |error: wasmtime::Error| LoadError::Engine { reason: error.root_cause().to_string() };
        let mut config = Config::new();
        config
            .epoch_interruption(true)
            // Calls without task state cost a quarter; nothing here is async.
            .concurrency_support(false)
            // The same answer on every processor.
            .wasm_relaxed_simd(false)
            .cranelift_nan_canonicalization(true)
            .cache(open_cache(cache))
            .max_wasm_stack(512 << 10);
        let wasmtime = wasmtime::Engine::new(&config).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).map_err(failed)?;
        sandbox::link_clock(&mut linker).map_err(failed)?;
        v0::link(&mut linker).map_err(failed)?;
        start_clock(&wasmtime)?;
        Ok(Self { wasmtime, linker: Arc::new(linker) })
    }
}

/// A cache that cannot be had costs time, not the run.
fn open_cache(directory: &CacheDirectory) -> Option<Cache> {
    let directory = match directory {
        CacheDirectory::Default => default_directory()?,
        CacheDirectory::At(directory) => std::path::absolute(directory).ok()?,
        CacheDirectory::Off => return None,
    };
    if !writable(&directory) {
        tracing::warn!(directory = %directory.display(), "cannot keep compiled plugins here: each start compiles them");
        return None;
    }
    let mut config = CacheConfig::new();
    config.with_directory(directory.join("wasmtime"));
    match Cache::new(config) {
        Ok(cache) => Some(cache),
        Err(error) => {
            tracing::warn!(reason = %error.root_cause(), "compiled plugins are not kept: each start compiles them");
            None
        }
    }
}

/// <https://specifications.freedesktop.org/basedir-spec/latest/>: relative paths are ignored.
fn default_directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("pgstream"))
}

fn writable(directory: &Path) -> bool {
    std::fs::create_dir_all(directory).is_ok()
        && std::fs::metadata(directory).is_ok_and(|metadata| !metadata.permissions().readonly())
}

fn start_clock(engine: &wasmtime::Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("plugin-clock".into())
        .spawn(tick)
        .map(drop)
        .map_err(|error| LoadError::Engine { reason: error.to_string() })
}
