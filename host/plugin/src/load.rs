//! Loading: a file or bytes of the binary → a plugin that has said what it is.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::sandbox::Sandbox;
use crate::{Description, Engine, Limits, LoadError, MAX_COMPONENT, PluginKind, v0};

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// Bytes inside the binary.
    Bytes {
        /// What to call them.
        name: String,
        /// The component.
        bytes: Cow<'static, [u8]>,
    },
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes { name, .. } => f.write_str(name),
        }
    }
}

/// A loaded plugin. Cloning shares the compiled code.
#[derive(Clone)]
pub struct Plugin {
    /// What it is.
    pub kind: PluginKind,
    /// What it tells of itself.
    pub description: Arc<Description>,
    /// SHA-256 of the component.
    pub digest: [u8; 32],
    /// File, or name of embedded bytes.
    pub origin: String,
    pub(crate) code: v0::Code,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({self})")
    }
}

/// `mask 0.3.1 (pgstream:plugin@0.1.0, transformer)`.
impl std::fmt::Display for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Description { name, version, .. } = self.description.as_ref();
        write!(f, "{name} {version} (pgstream:plugin@{}, {})", v0::VERSION, self.kind)
    }
}

impl Plugin {
    /// The digest in hexadecimal.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        self.digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Engine {
    /// Loads a component, compiles it (or takes it from the cache) and asks it what it is.
    ///
    /// Calls into WebAssembly: not to be used on a thread that drives an async runtime.
    ///
    /// # Errors
    /// One variant of [`LoadError`] for each thing that a file can be instead of a plugin.
    pub fn load(&self, source: &Source) -> Result<Plugin, LoadError> {
        let origin = source.to_string();
        let bytes = match source {
            Source::File(path) => Cow::Owned(read(path)?),
            Source::Bytes { bytes, .. } => Cow::Borrowed(bytes.as_ref()),
        };
        check_header(&bytes, &origin)?;
        let component = Component::from_binary(&self.wasmtime, &bytes).map_err(|error| {
            LoadError::Invalid { origin: origin.clone(), reason: error.root_cause().to_string() }
        })?;
        let kind = self.probe(&component, &origin)?;
        self.check_imports(&component, &origin)?;
        let types = |error: wasmtime::Error| LoadError::Types {
            origin: origin.clone(),
            reason: format!("{error:#}"),
        };
        let code = self
            .linker
            .instantiate_pre(&component)
            .and_then(|pre| v0::Code::new(pre, kind))
            .map_err(types)?;
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let description = describe(&code, &origin)?;
        Ok(Plugin { kind, description: Arc::new(description), digest, origin, code })
    }

    /// What the component is, by the interface that it exports.
    fn probe(&self, component: &Component, origin: &str) -> Result<PluginKind, LoadError> {
        let ty = component.component_type();
        let exports: Vec<&str> = ty.exports(&self.wasmtime).map(|(name, _)| name).collect();
        let mut kinds = Vec::new();
        let mut other_version = None;
        for name in &exports {
            let Some((interface, version)) = ours(name) else { continue };
            let kind = match interface {
                "transformer" => PluginKind::Transformer,
                "filter" => PluginKind::Filter,
                "injector" => PluginKind::Injector,
                _ => continue,
            };
            if v0::speaks(version) {
                kinds.push(kind);
            } else {
                other_version = Some(version);
            }
        }
        let about =
            exports.iter().any(|name| ours(name).is_some_and(|(name, at)| name == "about" && v0::speaks(at)));
        match (kinds.as_slice(), other_version) {
            ([kind], _) if about => Ok(*kind),
            ([], Some(wants)) => {
                Err(LoadError::OtherVersion { origin: origin.into(), wants: wants.to_owned() })
            }
            ([_], _) => Err(LoadError::OtherWorld {
                origin: origin.into(),
                missing: format!("pgstream:plugin/about@{}", v0::VERSION),
                exports: list(&exports),
            }),
            ([], None) => Err(LoadError::OtherWorld {
                origin: origin.into(),
                missing: format!(
                    "pgstream:plugin/transformer@{0}, /filter@{0} or /injector@{0}",
                    v0::VERSION
                ),
                exports: list(&exports),
            }),
            (kinds, _) => Err(LoadError::Ambiguous {
                origin: origin.into(),
                kinds: kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Every import must be one that plugins are given, so that a miss can be named.
    fn check_imports(&self, component: &Component, origin: &str) -> Result<(), LoadError> {
        let ty = component.component_type();
        for (name, import) in ty.imports(&self.wasmtime) {
            if let Some((_, version)) = ours(name) {
                if v0::speaks(version) {
                    continue;
                }
                return Err(LoadError::OtherVersion { origin: origin.into(), wants: version.to_owned() });
            }
            let instance = matches!(import.ty, ComponentItem::ComponentInstance(_));
            if !instance || !is_linked_wasi(name) {
                return Err(LoadError::UnknownImport { origin: origin.into(), import: name.to_owned() });
            }
        }
        Ok(())
    }
}

/// `pgstream:plugin/<interface>@<version>`.
fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix("pgstream:plugin/")?;
    Some(rest.split_once('@').unwrap_or((rest, "none")))
}

/// The interfaces that `wasmtime_wasi::p2` links.
fn is_linked_wasi(name: &str) -> bool {
    let Some((package, rest)) = name.strip_prefix("wasi:").and_then(|name| name.split_once('/')) else {
        return false;
    };
    matches!(package, "cli" | "clocks" | "filesystem" | "io" | "random" | "sockets")
        && rest.split_once('@').is_some_and(|(_, version)| version.starts_with("0.2."))
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "nothing".into(),
        names => names.join(", "),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => LoadError::NotFound { path: path.into() },
        _ => LoadError::Unreadable { path: path.into(), source },
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(LoadError::Directory { path: path.into() });
    }
    let too_large =
        |size| LoadError::TooLarge { origin: path.display().to_string(), size, limit: MAX_COMPONENT };
    if metadata.len() > MAX_COMPONENT {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    // Bounded even if the file grows, or never ends.
    file.take(MAX_COMPONENT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// Told apart before the compiler sees them: its own words would help nobody.
/// <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>
fn check_header(bytes: &[u8], origin: &str) -> Result<(), LoadError> {
    let origin = origin.to_owned();
    if bytes.is_empty() {
        return Err(LoadError::Empty { origin });
    }
    match (bytes.first_chunk::<4>(), bytes.get(4..8)) {
        (Some(b"\0asm"), Some([1, 0, 0, 0])) => Err(LoadError::CoreModule { origin }),
        (Some(b"\0asm"), Some([_, _, 1, 0])) => Ok(()),
        _ => Err(LoadError::NotAComponent { origin }),
    }
}

fn describe(code: &v0::Code, origin: &str) -> Result<Description, LoadError> {
    let limits = Limits::default();
    let sandbox = Sandbox::new(origin, limits.memory, Vec::new(), [0; 32]);
    let described = code.start(sandbox.open()?, &limits).and_then(|mut guest| {
        guest.state().prepare_without_data(b"describe");
        guest.describe()
    });
    let description = match described {
        Ok(description) => description,
        Err(crate::CallError::Crashed(crash)) => {
            return Err(LoadError::Describe { origin: origin.into(), crash });
        }
        Err(other) => return Err(LoadError::Types { origin: origin.into(), reason: other.to_string() }),
    };
    match description.flaw() {
        None => Ok(description),
        Some(reason) => Err(LoadError::Description { origin: origin.into(), reason }),
    }
}
