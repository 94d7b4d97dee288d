//! What can go wrong while a plugin is loaded or called: one variant for each thing that a person can act on.

use std::path::PathBuf;
use std::time::Duration;

/// A component could not be loaded.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// There is no such file.
    #[error("there is no plugin at {}", path.display())]
    #[diagnostic(code(plugin::not_found), help("give the path of a WebAssembly component (`.wasm`)"))]
    NotFound {
        /// As configured.
        path: PathBuf,
    },
    /// The path is a directory.
    #[error("{} is a directory", path.display())]
    #[diagnostic(code(plugin::directory), help("give the path of one component (`.wasm`) in it"))]
    Directory {
        /// As configured.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("{} cannot be read", path.display())]
    #[diagnostic(code(plugin::unreadable), help("give the user that runs pgstream the right to read it"))]
    Unreadable {
        /// As configured.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No bytes.
    #[error("plugin {origin} is empty")]
    #[diagnostic(code(plugin::empty), help("build or download it again"))]
    Empty {
        /// File or name.
        origin: String,
    },
    /// More bytes than allowed.
    #[error("plugin {origin} has {size} bytes, more than the {limit} that are allowed")]
    #[diagnostic(
        code(plugin::too_large),
        help("build it in release mode and strip it, or leave out what it does not need")
    )]
    TooLarge {
        /// File or name.
        origin: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A core module, not a component.
    #[error("plugin {origin} is a core WebAssembly module, not a component")]
    #[diagnostic(
        code(plugin::core_module),
        help(
            "build it with `cargo build --target wasm32-wasip2`, or make a component of it with `wasm-tools \
             component new`"
        )
    )]
    CoreModule {
        /// File or name.
        origin: String,
    },
    /// Something else.
    #[error("plugin {origin} is not a WebAssembly component")]
    #[diagnostic(
        code(plugin::not_a_component),
        help(
            "a component is a binary that starts with `\\0asm`; build one with `cargo build --target wasm32-wasip2`"
        )
    )]
    NotAComponent {
        /// File or name.
        origin: String,
    },
    /// It looks like one, but wasmtime refuses it.
    #[error("plugin {origin} is not a valid component: {reason}")]
    #[diagnostic(code(plugin::invalid), help("build or download it again; it may be cut short"))]
    Invalid {
        /// File or name.
        origin: String,
        /// In wasmtime's words.
        reason: String,
    },
    /// None of our interfaces is exported.
    #[error(
        "plugin {origin} is a component of another world: it does not export {missing} (it exports {exports})"
    )]
    #[diagnostic(
        code(plugin::other_world),
        help(
            "implement one of the worlds transformer-plugin, filter-plugin, injector-plugin of pgstream:plugin@{}",
            crate::v0::VERSION
        )
    )]
    OtherWorld {
        /// File or name.
        origin: String,
        /// The interface that was looked for.
        missing: String,
        /// What is there.
        exports: String,
    },
    /// Two kinds of plugin in one component.
    #[error("plugin {origin} exports more than one kind of plugin: {kinds}")]
    #[diagnostic(code(plugin::ambiguous), help("make one component of each kind"))]
    Ambiguous {
        /// File or name.
        origin: String,
        /// The kinds.
        kinds: String,
    },
    /// Ours, but of a version that this host does not have.
    #[error(
        "plugin {origin} was built for pgstream:plugin@{wants}, and this pgstream has {}",
        crate::v0::TRACK
    )]
    #[diagnostic(
        code(plugin::other_version),
        help(
            "rebuild the plugin against the wit/ folder of this pgstream (`cargo build --release --target \
             wasm32-wasip2`), or use a pgstream that has {wants}"
        )
    )]
    OtherVersion {
        /// File or name.
        origin: String,
        /// The version that it asks for.
        wants: String,
    },
    /// It wants something that no plugin is given.
    #[error("plugin {origin} imports `{import}`, which pgstream does not offer to plugins")]
    #[diagnostic(
        code(plugin::unknown_import),
        help(
            "a plugin may import pgstream:plugin/host and WASI 0.2 (without wasi:http); build it without `{import}`"
        )
    )]
    UnknownImport {
        /// File or name.
        origin: String,
        /// Name of the interface.
        import: String,
    },
    /// Names are right but types are not.
    #[error("plugin {origin} does not fit pgstream:plugin@{}: {reason}", crate::v0::VERSION)]
    #[diagnostic(
        code(plugin::contract_types),
        help("rebuild the plugin against the wit/ folder of this pgstream")
    )]
    Types {
        /// File or name.
        origin: String,
        /// In wasmtime's words.
        reason: String,
    },
    /// `describe` crashed or took too long.
    #[error("plugin {origin} could not describe itself: {crash}")]
    #[diagnostic(
        code(plugin::describe),
        help("this is a defect of the plugin: `describe` must answer without any input")
    )]
    Describe {
        /// File or name.
        origin: String,
        /// What happened.
        crash: Crash,
    },
    /// `describe` answered nonsense.
    #[error("plugin {origin} describes itself wrongly: {reason}")]
    #[diagnostic(code(plugin::description), help("this is a defect of the plugin"))]
    Description {
        /// File or name.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A grant cannot be given.
    #[error("the grant `{grant}` cannot be given to plugin {plugin}: {reason}")]
    #[diagnostic(code(plugin::grant), help("grants are `clock`, `random`, `env:NAME` and `read:/directory`"))]
    Grant {
        /// Name of the plugin.
        plugin: String,
        /// As configured.
        grant: String,
        /// Why not.
        reason: String,
    },
    /// The engine itself could not be made.
    #[error("the WebAssembly engine cannot start: {reason}")]
    #[diagnostic(
        code(plugin::engine),
        help("this processor or system is not supported by the WebAssembly engine")
    )]
    Engine {
        /// In wasmtime's words.
        reason: String,
    },
}

/// How a call into a plugin ended when it did not return. Never holds a text of the plugin: a panic message may
/// quote a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Crash {
    /// A panic or an `unreachable`.
    #[error("it panicked")]
    Panic,
    /// Over its time.
    #[error("it ran longer than {0:?}")]
    Time(Duration),
    /// Over its memory.
    #[error("it wanted more than {} MiB of memory", .0 >> 20)]
    Memory(usize),
    /// Over what may come out of one call.
    #[error("it gave back more than {0} bytes")]
    Output(usize),
    /// Recursion without end.
    #[error("it used up its stack")]
    Stack,
    /// Any other trap, in wasmtime's words.
    #[error("it trapped ({0})")]
    Trap(String),
}

impl Crash {
    /// A short word for counters.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Time(_) => "time",
            Self::Memory(_) => "memory",
            Self::Output(_) => "output",
            Self::Stack => "stack",
            Self::Trap(_) => "trap",
        }
    }
}

/// A call that did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin itself said no. The text is the plugin's: it should hold no value, but nobody can promise that
    /// for data calls.
    #[error("{0}")]
    Refused(String),
    /// It did not return. Its store is gone; the next call starts a new one.
    #[error("{0}")]
    Crashed(Crash),
    /// After a crash it could not be started, or the rule not be bound, again. That is no row's fault.
    #[error("after a crash {0}")]
    Lost(String),
    /// What it returned breaks the contract of `wit/`.
    #[error("it broke the contract: {0}")]
    Breach(String),
}
