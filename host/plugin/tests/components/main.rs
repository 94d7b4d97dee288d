//! The plugin host against real components: the standard ones and those of `tests/plugins` and `tests/hostile`.
//! `guests/build.sh --test-plugins` builds them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise; clippy.toml covers only functions marked as tests"
)]

mod bad_files;
mod calls;
mod hostile;
mod raw;
mod sandbox;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use event::{Column, Relation, ReplicaIdentity, TableName};
use plugin::{CacheDirectory, Engine, Plugin, Source};

/// One engine for all tests, as in the process.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(&CacheDirectory::Default).unwrap());

fn standard(name: &str) -> PathBuf {
    component("guests/target/components", name)
}

fn user(name: &str) -> PathBuf {
    component("tests/plugins/target/components", name)
}

fn hostile(name: &str) -> PathBuf {
    component("tests/hostile/target/components", &format!("hostile-{name}"))
}

fn component(folder: &str, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder)
        .join(name)
        .with_extension("wasm");
    assert!(path.is_file(), "{} is not built: run `guests/build.sh --test-plugins`", path.display());
    path
}

fn load(path: PathBuf) -> Plugin {
    ENGINE.load(&Source::File(path)).unwrap()
}

/// A table with these columns: name, type oid, type.
fn table(columns: &[(&str, u32, &str)]) -> Arc<Relation> {
    let column = |(at, (name, type_oid, type_name)): (usize, &(&str, u32, &str))| Column {
        name: (*name).into(),
        id: format!("1-{at}"),
        attnum: at as i16 + 1,
        type_oid: *type_oid,
        type_name: (*type_name).into(),
        nullable: at > 0,
        primary: at == 0,
        identity: at == 0,
        unique: at == 0,
        generated: None,
        identity_column: None,
    };
    Arc::new(Relation {
        oid: 1,
        id: "1".into(),
        name: TableName::new("public", "users"),
        replica_identity: ReplicaIdentity::Default,
        version: 0,
        columns: columns.iter().enumerate().map(column).collect(),
    })
}
